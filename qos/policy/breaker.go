package policy

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// BreakerConfig configures a circuit breaker.
type BreakerConfig struct {
	Fall  int           // number of consecutive failures that open the breaker
	Rise  int           // number of consecutive successes that close it again
	Dials int           // maximum number of concurrent dials over all routes to the host
	Every time.Duration // interval of trials while the breaker is open
}

// DefaultBreaker returns the default configuration.
func DefaultBreaker() BreakerConfig {
	return BreakerConfig{Fall: 5, Rise: 2, Dials: 4, Every: 5 * time.Second}
}

// Validate returns an error if the configuration is invalid.
func (c BreakerConfig) Validate() error {
	switch {
	case c.Fall < 1:
		return errors.New("breaker: fall must be 1 or more")
	case c.Rise < 1:
		return errors.New("breaker: rise must be 1 or more")
	case c.Dials < 1:
		return errors.New("breaker: dials must be 1 or more")
	case c.Every <= 0:
		return errors.New("breaker: every must be more than 0")
	}
	return nil
}

// BreakerState is the state of a breaker.
type BreakerState uint8

const (
	Closed   BreakerState = iota // the host is believed to be up
	Open                         // the host is down: one trial at a time
	HalfOpen                     // the host has answered again
)

func (s BreakerState) String() string { return [...]string{"closed", "open", "half_open"}[s] }

// MarshalText returns the state's name, for JSON.
func (s BreakerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Breaker is a circuit breaker that limits how the routes to one host dial it. It keeps a dead host from
// being dialled often, and a host that recovers from being flooded. It judges the host, not the stream: a
// host that rejects a dial counts as up.
type Breaker struct {
	cfg       BreakerConfig
	state     BreakerState
	since     time.Time
	failures  int // number of consecutive failures
	successes int // consecutive successes since it opened
	inFlight  int
	nextTrial time.Time // earliest next trial while open
}

// NewBreaker returns a closed breaker.
func NewBreaker(cfg BreakerConfig) *Breaker { return &Breaker{cfg: cfg} }

// Ask asks for permission to dial or probe, and must be called before each dial and each probe. If ok is
// true, the dial may start, and Done must be called when it ends. Otherwise wait is how long to wait before
// asking again; 0 means until the next call of Done.
func (b *Breaker) Ask(now time.Time) (ok bool, wait time.Duration) {
	switch {
	case b.state == Open && b.inFlight > 0: // a trial, or a dial from before it opened
		return false, 0
	case b.state == Open && now.Before(b.nextTrial):
		return false, b.nextTrial.Sub(now)
	case b.inFlight >= b.cfg.Dials:
		return false, 0
	}
	if b.state == Open {
		b.nextTrial = now.Add(b.cfg.Every)
	}
	b.inFlight++
	return true, 0
}

// Done records the outcome of a dial or probe that Ask allowed. An empty outcome means that the dial was
// cancelled; it counts neither as a success nor as a failure.
func (b *Breaker) Done(now time.Time, o qos.Outcome) {
	b.inFlight = max(0, b.inFlight-1)
	switch o {
	case "":
	case qos.DialFailed, qos.DialTimeout:
		b.recordFailure(now)
	default:
		b.recordSuccess(now)
	}
}

func (b *Breaker) recordFailure(now time.Time) {
	b.failures++
	b.successes = 0
	switch b.state {
	case Closed:
		if b.failures < b.cfg.Fall {
			return
		}
		b.nextTrial = now.Add(b.cfg.Every)
		b.setState(now, Open)
	case HalfOpen:
		b.nextTrial = now.Add(b.cfg.Every)
		b.setState(now, Open)
	case Open:
	}
}

func (b *Breaker) recordSuccess(now time.Time) {
	b.failures = 0
	if b.state == Closed {
		return
	}
	b.successes++
	if b.successes >= b.cfg.Rise {
		b.setState(now, Closed)
		return
	}
	b.setState(now, HalfOpen)
}

func (b *Breaker) setState(now time.Time, s BreakerState) {
	if b.state != s {
		b.state, b.since = s, now
	}
}

// Reset closes the breaker on request of the operator, who knows that the host is up again. Dials in
// flight still count towards the limit.
func (b *Breaker) Reset(now time.Time) {
	b.failures, b.successes, b.nextTrial = 0, 0, time.Time{}
	b.setState(now, Closed)
}

// BreakerStatus is the status of a breaker at one moment.
type BreakerStatus struct {
	State    BreakerState `json:"state"`
	Since    time.Time    `json:"since,omitzero"`
	Failures int          `json:"failures"` // number of consecutive failures
	InFlight int          `json:"in_flight"`
	Dials    int          `json:"dials"`        // maximum number of concurrent dials
	Trial    float64      `json:"next_seconds"` // seconds until the next trial, while open
}

// Status returns the breaker's status at time now.
func (b *Breaker) Status(now time.Time) BreakerStatus {
	s := BreakerStatus{State: b.state, Since: b.since, Failures: b.failures, InFlight: b.inFlight, Dials: b.cfg.Dials}
	if b.state == Open {
		s.Dials = 1
		s.Trial = max(0, b.nextTrial.Sub(now).Seconds())
	}
	return s
}

// Configure changes the configuration and keeps the state.
func (b *Breaker) Configure(cfg BreakerConfig) { b.cfg = cfg }
