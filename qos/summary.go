package qos

import "time"

// Summary is what a route's history comes to at one moment. Means weigh what is recent most;
// a mean without anything behind it is 0, and the field beside it says how much there is.
type Summary struct {
	// Dials and probes.
	Attempts int     `json:"attempts"` // in the last hour
	Failed   int     `json:"failed"`   // of them
	Success  float64 `json:"success"`  // share of the recent ones that came through; running counts
	Evidence float64 `json:"evidence"` // how many recent attempts stand behind Success, fading
	Streak   int     `json:"streak"`   // successes in a row; below 0, failures
	Dial     float64 `json:"dial_seconds"`
	// Phases is the mean time of each phase of the dials that came through, in seconds.
	Phases map[Phase]float64 `json:"phase_seconds,omitempty"`

	// Running: the last quarter of a minute counts most.
	Measured float64 `json:"measured_seconds"` // of recent running stand behind what follows, fading
	RTT      float64 `json:"rtt_seconds"`      // 0 while unknown, as is Jitter
	Jitter   float64 `json:"jitter_seconds"`
	Resent   float64 `json:"resent"` // share of TCP segments
	Rate     float64 `json:"rate"`   // bit/s delivered
	Stalls   float64 `json:"stalls"` // share of the time
	Lag      float64 `json:"lag_seconds"`

	// Capacity is what the line carried, in bit/s, when it was what limited: 0 while unknown.
	// Trust in it halves every ten minutes.
	Capacity      float64 `json:"capacity"`
	CapacityAge   float64 `json:"capacity_age_seconds"`
	CapacityTrust float64 `json:"capacity_trust"` // 0..1

	// The record: the last ten minutes of running count most.
	Watched float64 `json:"watched_seconds"` // of running stand behind Trouble, fading
	Trouble float64 `json:"trouble"`         // share of the time that it lagged or stalled
	Ran     float64 `json:"ran_seconds"`     // in the last hour

	BreaksPerHour float64        `json:"breaks_per_hour"` // as the last twenty minutes would have it
	Breaks        map[string]int `json:"breaks,omitempty"`
	LastBreaks    []Break        `json:"last_breaks,omitempty"` // the newest first
	LastErrors    []Failure      `json:"last_errors,omitempty"` // the newest first
	Minutes       []Minute       `json:"minutes,omitempty"`     // of the last hour that held anything, the oldest first

	LastSuccess time.Time `json:"last_success,omitzero"`
}

// Break is a running route that broke.
type Break struct {
	At     time.Time `json:"at"`
	Cause  string    `json:"cause"`
	Lasted float64   `json:"lasted_seconds"` // the connection
}

// Failure is a dial or a probe that failed.
type Failure struct {
	At      time.Time `json:"at"`
	Probe   bool      `json:"probe,omitempty"`
	Outcome Outcome   `json:"outcome"`
	Phase   Phase     `json:"phase,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// Minute is a minute of a route's history.
type Minute struct {
	At        time.Time `json:"at"` // its begin
	Attempts  int       `json:"attempts,omitempty"`
	Failed    int       `json:"failed,omitempty"`
	Breaks    int       `json:"breaks,omitempty"`
	Ran       float64   `json:"ran_seconds,omitempty"`
	Stalled   float64   `json:"stalled_seconds,omitempty"`
	Sent      uint64    `json:"sent_bytes,omitempty"`
	Delivered uint64    `json:"delivered_bytes,omitempty"`
	Segments  uint64    `json:"segments,omitempty"`
	Resent    uint64    `json:"resent_segments,omitempty"`
	Lag       float64   `json:"lag_seconds,omitempty"` // the longest
}
