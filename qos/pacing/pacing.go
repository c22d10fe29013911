// Package pacing limits how often things happen: the heartbeats of a connection and the joins of viewers.
//
// The package is pure: time and random numbers are arguments.
package pacing

import "time"

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
