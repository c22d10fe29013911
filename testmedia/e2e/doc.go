// Package e2e holds the built relay against the outside: its own RTMP client and viewers,
// which share no RTMP code with the relay, and the programs that people use. There are only
// tests in it.
package e2e
