package qos

import "time"

// History is what is remembered of one route. The zero value is an empty one.
type History struct {
	state HistoryState
}

// HistoryState is a history as it is kept over a restart.
type HistoryState struct {
	Version int `json:"version"`
}

// Attempt takes a dial or a probe in.
func (h *History) Attempt(a Attempt) {}

// Sample takes a span of running in.
func (h *History) Sample(s Sample) {}

// Broke takes in that a running route broke, and how long its connection had lasted.
func (h *History) Broke(now time.Time, cause string, lasted time.Duration) {}

// Summary is what the history comes to at now.
func (h *History) Summary(now time.Time) Summary { return Summary{} }
