package policy

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// BreakerConfig is what a breaker goes by.
type BreakerConfig struct {
	Fall  int           // failures in a row that open it
	Rise  int           // successes in a row that close it again
	Dials int           // at once, over all routes to the host
	Every time.Duration // between two trials while it is open
}

// DefaultBreaker is what the relay uses where nothing else is said.
func DefaultBreaker() BreakerConfig {
	return BreakerConfig{Fall: 5, Rise: 2, Dials: 4, Every: 5 * time.Second}
}

// Validate tells what is wrong with a configuration.
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

// BreakerState is what a breaker is at.
type BreakerState uint8

const (
	Closed   BreakerState = iota // the host lives, for all we know
	Open                         // it does not: one trial at a time
	HalfOpen                     // it has answered again
)

func (s BreakerState) String() string { return [...]string{"closed", "open", "half_open"}[s] }

// MarshalText has JSON show the name.
func (s BreakerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Breaker keeps all routes to one host from dialling it at once: a dead host is tried seldom,
// and one that comes back is not met by a storm. It knows the host, not the stream: a host
// that says no lives.
type Breaker struct {
	cfg      BreakerConfig
	state    BreakerState
	since    time.Time
	failures int // in a row
	risen    int // successes in a row since it opened
	inFlight int
	trial    time.Time // when the next is allowed, while open
}

// NewBreaker returns a closed breaker.
func NewBreaker(cfg BreakerConfig) *Breaker { return &Breaker{cfg: cfg} }

// Ask is asked before each dial and each probe. With ok the dial has a place, which Done gives
// back. Without, wait says when to ask again; 0: when a Done has given a place back.
func (b *Breaker) Ask(now time.Time) (ok bool, wait time.Duration) {
	switch {
	case b.state == Open && b.inFlight > 0: // a trial, or what was under way when it opened
		return false, 0
	case b.state == Open && now.Before(b.trial):
		return false, b.trial.Sub(now)
	case b.inFlight >= b.cfg.Dials:
		return false, 0
	}
	if b.state == Open {
		b.trial = now.Add(b.cfg.Every)
	}
	b.inFlight++
	return true, 0
}

// Done gives the place of a dial or probe back, and says what became of it. An outcome that is
// empty tells nothing of the host: the dial was cancelled.
func (b *Breaker) Done(now time.Time, o qos.Outcome) {
	b.inFlight = max(0, b.inFlight-1)
	switch o {
	case "":
	case qos.DialFailed, qos.DialTimeout:
		b.fail(now)
	default:
		b.succeed(now)
	}
}

func (b *Breaker) fail(now time.Time) {
	b.failures++
	b.risen = 0
	switch b.state {
	case Closed:
		if b.failures < b.cfg.Fall {
			return
		}
		b.trial = now.Add(b.cfg.Every)
		b.enter(now, Open)
	case HalfOpen:
		b.trial = now.Add(b.cfg.Every)
		b.enter(now, Open)
	case Open:
	}
}

func (b *Breaker) succeed(now time.Time) {
	b.failures = 0
	if b.state == Closed {
		return
	}
	b.risen++
	if b.risen >= b.cfg.Rise {
		b.enter(now, Closed)
		return
	}
	b.enter(now, HalfOpen)
}

func (b *Breaker) enter(now time.Time, s BreakerState) {
	if b.state != s {
		b.state, b.since = s, now
	}
}

// Reset closes the breaker: the operator knows that the host is back. Places stay taken.
func (b *Breaker) Reset(now time.Time) {
	b.failures, b.risen, b.trial = 0, 0, time.Time{}
	b.enter(now, Closed)
}

// BreakerStatus is a breaker at one moment.
type BreakerStatus struct {
	State    BreakerState `json:"state"`
	Since    time.Time    `json:"since,omitzero"`
	Failures int          `json:"failures"` // in a row
	InFlight int          `json:"in_flight"`
	Dials    int          `json:"dials"`        // that may be in flight at once
	Trial    float64      `json:"next_seconds"` // to the next trial, while open
}

// Status is the breaker at now.
func (b *Breaker) Status(now time.Time) BreakerStatus {
	s := BreakerStatus{State: b.state, Since: b.since, Failures: b.failures, InFlight: b.inFlight, Dials: b.cfg.Dials}
	if b.state == Open {
		s.Dials = 1
		s.Trial = max(0, b.trial.Sub(now).Seconds())
	}
	return s
}

// Configure changes what the breaker goes by; what it has seen stays.
func (b *Breaker) Configure(cfg BreakerConfig) { b.cfg = cfg }
