package qos

import "time"

// Summary is a summary of a route's history at one moment. Recent values have the greatest weight in means.
// A mean without data is 0; Evidence, Measured and Watched tell how much data the means are based on.
type Summary struct {
	// Dials and probes.
	Attempts int     `json:"attempts"` // in the last hour
	Failed   int     `json:"failed"`   // in the last hour
	Success  float64 `json:"success"`  // share of recent attempts that succeeded; running counts too
	Evidence float64 `json:"evidence"` // number of recent attempts behind Success, decaying
	Streak   int     `json:"streak"`   // number of consecutive successes; if negative, of failures
	Dial     float64 `json:"dial_seconds"`
	// Phases is the mean time of each phase of successful dials, in seconds.
	Phases map[Phase]float64 `json:"phase_seconds,omitempty"`

	// Running: the last 15 seconds count most.
	Measured float64 `json:"measured_seconds"` // recent running time behind the next fields, decaying
	RTT      float64 `json:"rtt_seconds"`      // 0 if unknown
	Jitter   float64 `json:"jitter_seconds"`   // 0 if unknown
	Resent   float64 `json:"resent"`           // share of TCP segments that were retransmitted
	Rate     float64 `json:"rate"`             // bit/s delivered
	Stalls   float64 `json:"stalls"`           // share of the time that was stalled
	Lag      float64 `json:"lag_seconds"`

	// Capacity is the capacity of the connection in bit/s: the rate when the connection last limited what
	// was delivered, or the current rate if that is higher. It is 0 if unknown. The trust in it halves every
	// ten minutes.
	Capacity      float64 `json:"capacity"`
	CapacityAge   float64 `json:"capacity_age_seconds"`
	CapacityTrust float64 `json:"capacity_trust"` // 0..1

	// The longer term: the last ten minutes of running count most.
	Watched float64 `json:"watched_seconds"` // running time behind Trouble, decaying
	Trouble float64 `json:"trouble"`         // share of the time that it lagged or stalled
	Ran     float64 `json:"ran_seconds"`     // in the last hour

	BreaksPerHour float64        `json:"breaks_per_hour"` // extrapolated from the last twenty minutes
	Breaks        map[string]int `json:"breaks,omitempty"`
	LastBreaks    []Break        `json:"last_breaks,omitempty"` // newest first
	LastErrors    []Failure      `json:"last_errors,omitempty"` // newest first
	Minutes       []Minute       `json:"minutes,omitempty"`     // the last hour without empty minutes

	LastSuccess time.Time `json:"last_success,omitzero"`
}

// Break is a break of a running route.
type Break struct {
	At     time.Time `json:"at"`
	Cause  string    `json:"cause"`
	Lasted float64   `json:"lasted_seconds"` // duration of the connection
}

// Failure is a failed dial or probe.
type Failure struct {
	At      time.Time `json:"at"`
	Probe   bool      `json:"probe,omitempty"`
	Outcome Outcome   `json:"outcome"`
	Phase   Phase     `json:"phase,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// Minute holds the totals of one minute of a route's history.
type Minute struct {
	At        time.Time `json:"at"` // start of the minute
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
