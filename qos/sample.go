// Package qos keeps the history of the quality of routes: samples, time windows and summaries.
package qos

import "time"

// Phase is a step in setting up a route's connection. Its values appear in the API.
type Phase string

// The phases, in order. PhaseRunning follows the others.
const (
	PhaseDNS       Phase = "dns"
	PhaseTCP       Phase = "tcp"
	PhaseTLS       Phase = "tls"
	PhaseHandshake Phase = "handshake"
	PhaseConnect   Phase = "connect" // for HTTP: from the request to its response
	PhasePublish   Phase = "publish" // for a pull: play
	PhaseMedia     Phase = "media"   // until the first media packet
	PhaseRunning   Phase = "running"
)

// Phases returns the phases in order.
func Phases() []Phase {
	return []Phase{PhaseDNS, PhaseTCP, PhaseTLS, PhaseHandshake, PhaseConnect, PhasePublish, PhaseMedia, PhaseRunning}
}

// Outcome is the result of a dial or a probe. Its values are label values of the metric
// holdfast_route_dials_total.
type Outcome string

// The outcomes of a dial.
const (
	DialOK       Outcome = "ok"
	DialFailed   Outcome = "failed"   // unknown host, refused, reset, protocol error
	DialTimeout  Outcome = "timeout"  // a phase took too long
	DialRejected Outcome = "rejected" // the destination rejected the dial but may accept a later one
	DialDenied   Outcome = "denied"   // the destination rejected the dial, and a retry will not help
)

// Outcomes returns the outcomes of a dial, for metrics whose series are exported from the start with value
// 0.
func Outcomes() []Outcome {
	return []Outcome{DialOK, DialFailed, DialTimeout, DialRejected, DialDenied}
}

// Attempt is one dial or probe of a route.
type Attempt struct {
	At      time.Time // when it ended
	Probe   bool      // a probe rather than a dial; it ends after PhaseConnect
	Outcome Outcome
	Phase   Phase                   // the phase that failed; PhaseRunning if none did
	Took    map[Phase]time.Duration // duration of each phase that was started
	Detail  string                  // the error, without secrets; empty if there was none
}

// Total returns how long the attempt took in all.
func (a *Attempt) Total() time.Duration {
	var sum time.Duration
	for _, d := range a.Took {
		sum += d
	}
	return sum
}

// Sample is a measurement of a running route over a short span, a second or less.
type Sample struct {
	At   time.Time     // end of the span
	Span time.Duration // duration of the span

	RTT, RTTVar time.Duration // smoothed; 0 if unknown

	Sent      uint64 // bytes handed to the socket in the span
	Delivered uint64 // bytes that the destination's TCP acknowledged in the span; for a pull: received
	Segments  uint64 // TCP segments sent in the span; 0 if the system does not report it
	Resent    uint64 // segments retransmitted

	Unsent int           // bytes that the destination's TCP has not acknowledged at At
	Lag    time.Duration // how far the destination is behind the ring's live edge at At
	// Limited is true if the connection, not the stream, limited what was delivered, because it always had
	// more to send. Only then does Delivered show the capacity of the connection.
	Limited bool
	Stalled bool // nothing was delivered in the span although data was waiting
}

// Rate returns the delivered rate in bits per second.
func (s *Sample) Rate() float64 {
	if s.Span <= 0 {
		return 0
	}
	return float64(s.Delivered) * 8 / s.Span.Seconds()
}
