//go:build race

package e2e

// raced: the relay is built with the race detector, as these tests are.
const raced = true
