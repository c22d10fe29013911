package rendition

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/delay"
)

// making is one rendition while it is wanted: one child after the other.
type making struct {
	of           *Renditions
	full, parent string
	program      string
	log          *slog.Logger
	ctx          context.Context
	cancel       context.CancelCauseFunc // with why the rendition is over
	over         chan struct{}           // closed when it is
	feeds        atomic.Bool             // a child feeds the stream
	bare         bool                    // the stream has sound that needs no configuration; of the feeding goroutine

	mu        sync.Mutex // guards all below
	rendition Rendition
	until     time.Time // of the lease
	wanted    time.Time // when somebody last wanted it
	child     *child    // nil between two
}

func (m *making) begin(now time.Time) {
	m.log = m.of.o.Log.With("stream", m.full)
	m.over = make(chan struct{})
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	m.wanted = now
	m.lease(now.Add(m.of.timing.lease))
}

func (m *making) lease(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = until
}

// configure takes what is configured now. A child that makes something else ends, and the next
// begins at once.
func (m *making) configure(rendition Rendition, ok bool) {
	m.mu.Lock()
	changed := m.rendition != rendition
	m.rendition = rendition
	child := m.child
	m.mu.Unlock()
	switch {
	case !ok:
		m.cancel(errRemoved)
	case changed && child != nil:
		child.stop(errChanged)
	}
}

// run makes the rendition until it is over.
func (m *making) run(tap Tap) {
	var watching sync.WaitGroup
	watching.Go(m.watch)
	why := m.supervise(tap)
	m.cancel(why)
	watching.Wait()
	pause := time.Duration(0)
	if errors.Is(why, errGivenUp) || errors.Is(why, errYield) {
		pause = m.of.timing.pause
	}
	m.of.forget(m, pause)
	close(m.over)
	m.log.Info("rendition ends", "reason", why)
}

// errGivenUp: one child after the other failed.
var errGivenUp = errors.New("transcodes keep failing")

// supervise runs one child after the other, and returns why it does not any more.
func (m *making) supervise(tap Tap) error {
	backoff := policy.DefaultBackoff()
	for failures := 0; ; {
		began := time.Now()
		c, err := m.once(tap)
		if m.ctx.Err() != nil {
			return context.Cause(m.ctx)
		}
		if errors.Is(err, errYield) {
			return err
		}
		pause := m.of.timing.tick - time.Since(began) // at a change, which comes with a keyframe
		if !errors.Is(err, errChanged) && !errors.Is(err, errTap) {
			if time.Since(began) >= m.of.timing.steady {
				failures = 0
			}
			if failures++; failures >= m.of.timing.after || errors.Is(err, errNoPictures) || errors.Is(err, errTooLarge) {
				m.log.Error("rendition is given up", append(c.failure(err).attrs(), "failures", failures, "again_in", m.of.timing.pause)...)
				return errGivenUp
			}
			pause = backoff.Delay(failures-1, rand.Float64()) //nolint:gosec // chance, no secret
			m.log.Warn("transcode failed", append(c.failure(err).attrs(), "again_in", pause)...)
		}
		if delay.Sleep(m.ctx, pause) != nil {
			return context.Cause(m.ctx)
		}
		if tap, err = m.of.o.Tap(m.parent); err != nil {
			return errOver
		}
		if m.of.o.Taken != nil && m.of.o.Taken(m.full) {
			tap.Close()
			return errYield
		}
	}
}

// parentLives tells whether there is still something to make the rendition of.
func (m *making) parentLives() bool {
	tap, err := m.of.o.Tap(m.parent)
	if err != nil {
		return false
	}
	tap.Close()
	return true
}

// once runs one child from tap, which it closes, and returns it and why it ended.
func (m *making) once(tap Tap) (*child, error) {
	defer tap.Close()
	m.mu.Lock()
	c := newChild(m, tap)
	m.child = c
	m.mu.Unlock()
	err := c.run()
	m.mu.Lock()
	m.child = nil
	m.mu.Unlock()
	return c, err
}

// watch looks after the child, and after whether anybody wants what it makes.
func (m *making) watch() {
	tick := time.NewTicker(m.of.timing.tick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			audience := m.of.o.Audience(m.full)
			if m.unwanted(now, audience) {
				m.cancel(errUnwanted)
			}
			m.mu.Lock()
			child := m.child
			m.mu.Unlock()
			if child != nil {
				child.look(now)
			}
		case <-m.ctx.Done():
			return
		}
	}
}

// unwanted tells whether nobody has wanted the rendition for long enough.
func (m *making) unwanted(now time.Time, audience int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if audience > 0 || now.Before(m.until) {
		m.wanted = now
	}
	return now.Sub(m.wanted) >= m.of.timing.idle
}
