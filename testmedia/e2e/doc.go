// Package e2e tests the built relay from outside, with an RTMP client and viewers that share no RTMP code
// with the relay, and with real programs. It contains only tests.
package e2e
