//go:build race

package e2e

// raceEnabled reports whether the relay is built with the race detector, as these tests are.
const raceEnabled = true
