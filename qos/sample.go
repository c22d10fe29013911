// Package qos keeps the history of the quality of routes: samples, windows and their summaries.
package qos

import "time"

// Phase is a step on the way to a running route. The values are those of the API.
type Phase string

// The phases, in order. Running is what comes after them.
const (
	PhaseDNS       Phase = "dns"
	PhaseTCP       Phase = "tcp"
	PhaseTLS       Phase = "tls"
	PhaseHandshake Phase = "handshake"
	PhaseConnect   Phase = "connect" // of HTTP: the request to its answer
	PhasePublish   Phase = "publish" // of a pull: play
	PhaseMedia     Phase = "media"   // the first media packet
	PhaseRunning   Phase = "running"
)

// Phases lists the phases, in order.
func Phases() []Phase {
	return []Phase{PhaseDNS, PhaseTCP, PhaseTLS, PhaseHandshake, PhaseConnect, PhasePublish, PhaseMedia, PhaseRunning}
}

// Outcome is what became of a dial or a probe. The values are the label values of
// holdfast_route_dials_total.
type Outcome string

// The outcomes of a dial.
const (
	DialOK       Outcome = "ok"
	DialFailed   Outcome = "failed"   // no such name, refused, reset, broken protocol
	DialTimeout  Outcome = "timeout"  // a phase took too long
	DialRejected Outcome = "rejected" // the far side said no, and may say yes another time
	DialDenied   Outcome = "denied"   // the far side said no in a way that no retry heals
)

// Outcomes lists the outcomes of a dial, for metrics that start at 0.
func Outcomes() []Outcome {
	return []Outcome{DialOK, DialFailed, DialTimeout, DialRejected, DialDenied}
}

// Attempt is one dial or probe of a route.
type Attempt struct {
	At      time.Time // when it ended
	Probe   bool      // a probe ends after connect
	Outcome Outcome
	Phase   Phase                   // the one that failed; PhaseRunning of one that did not
	Took    map[Phase]time.Duration // of each phase that was begun
	Detail  string                  // the error, without secrets; empty where there was none
}

// Total is how long the attempt took.
func (a *Attempt) Total() time.Duration {
	var sum time.Duration
	for _, d := range a.Took {
		sum += d
	}
	return sum
}

// Sample is what was measured of a running route over a short span, a second or less.
type Sample struct {
	At   time.Time
	Span time.Duration // that ended At

	RTT, RTTVar time.Duration // smoothed; 0 while unknown

	Sent      uint64 // bytes handed to the socket in the span
	Delivered uint64 // bytes that the far side's TCP acknowledged in the span; of a pull: received
	Segments  uint64 // TCP segments sent in the span; 0 where the system does not tell
	Resent    uint64 // of them, retransmitted

	Unsent int           // bytes that the far side's TCP has not acknowledged yet, at At
	Lag    time.Duration // how far behind the ring's live edge the far side is, at At
	// Limited tells that the connection, not the stream, decided how much was delivered: it
	// had more to send all the time. Only then is Delivered what the line can carry.
	Limited bool
	Stalled bool // nothing was delivered in the span though something waited
}

// Rate is what was delivered, in bits per second.
func (s *Sample) Rate() float64 {
	if s.Span <= 0 {
		return 0
	}
	return float64(s.Delivered) * 8 / s.Span.Seconds()
}
