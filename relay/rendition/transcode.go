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

// transcode makes one rendition while it is wanted. It runs one child after another.
type transcode struct {
	renditions   *Renditions
	full, parent string
	program      string
	log          *slog.Logger
	ctx          context.Context
	cancel       context.CancelCauseFunc // called with the reason why the rendition ends
	over         chan struct{}           // closed when the rendition has ended
	publishing   atomic.Bool             // a child is publishing
	bareAudio    bool                    // the stream has audio that needs no configuration; used by the feeding goroutine

	mu        sync.Mutex // guards the fields below
	rendition Rendition
	until     time.Time // end of the lease
	wanted    time.Time // when the rendition was last wanted
	child     *child    // nil between two children
}

func (m *transcode) init(now time.Time) {
	m.log = m.renditions.o.Log.With("stream", m.full)
	m.over = make(chan struct{})
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	m.wanted = now
	m.lease(now.Add(m.renditions.timing.lease))
}

func (m *transcode) lease(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = until
}

// configure applies the current configuration. If it has changed, the current child ends and the
// next one starts at once.
func (m *transcode) configure(rendition Rendition, ok bool) {
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

// run makes the rendition until it ends.
func (m *transcode) run(tap Tap) {
	var watching sync.WaitGroup
	watching.Go(m.watch)
	why := m.supervise(tap)
	m.cancel(why)
	watching.Wait()
	pause := time.Duration(0)
	if errors.Is(why, errGivenUp) || errors.Is(why, errYield) {
		pause = m.renditions.timing.pause
	}
	m.renditions.remove(m, pause)
	close(m.over)
	m.log.Info("rendition ended", "reason", why)
}

// errGivenUp means that several children in a row have failed.
var errGivenUp = errors.New("transcodes keep failing")

// supervise runs one child after another, and returns why the rendition ends.
func (m *transcode) supervise(tap Tap) error {
	backoff := policy.DefaultBackoff()
	for failures := 0; ; {
		launched := time.Now()
		c, err := m.once(tap)
		if m.ctx.Err() != nil {
			return context.Cause(m.ctx)
		}
		if errors.Is(err, errYield) {
			return err
		}
		pause := m.renditions.timing.tick - time.Since(launched) // delay after a change, at a keyframe
		if !errors.Is(err, errChanged) && !errors.Is(err, errTap) {
			if time.Since(launched) >= m.renditions.timing.steady {
				failures = 0
			}
			if failures++; failures >= m.renditions.timing.after || errors.Is(err, errNoVideo) || errors.Is(err, errTooLarge) {
				m.log.Error("rendition stopped after repeated failures", append(c.failure(err).attrs(), "failures", failures, "again_in", m.renditions.timing.pause)...)
				return errGivenUp
			}
			pause = backoff.Delay(failures-1, rand.Float64()) //nolint:gosec // chance, no secret
			m.log.Warn("transcode failed", append(c.failure(err).attrs(), "again_in", pause)...)
		}
		if delay.Sleep(m.ctx, pause) != nil {
			return context.Cause(m.ctx)
		}
		if tap, err = m.renditions.o.Tap(m.parent); err != nil {
			return errOver
		}
		if m.renditions.o.Taken != nil && m.renditions.o.Taken(m.full) {
			tap.Close()
			return errYield
		}
	}
}

// parentLives reports whether the parent stream is live.
func (m *transcode) parentLives() bool {
	tap, err := m.renditions.o.Tap(m.parent)
	if err != nil {
		return false
	}
	tap.Close()
	return true
}

// once runs one child on tap and closes tap. It returns the child and the reason why it ended.
func (m *transcode) once(tap Tap) (*child, error) {
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

// watch checks the child, and ends the rendition when it is no longer wanted.
func (m *transcode) watch() {
	tick := time.NewTicker(m.renditions.timing.tick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			audience := m.renditions.o.Audience(m.full)
			if m.unwanted(now, audience) {
				m.cancel(errUnwanted)
			}
			m.mu.Lock()
			child := m.child
			m.mu.Unlock()
			if child != nil {
				child.check(now)
			}
		case <-m.ctx.Done():
			return
		}
	}
}

// unwanted reports whether the rendition has been unwanted for long enough to end it.
func (m *transcode) unwanted(now time.Time, audience int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if audience > 0 || now.Before(m.until) {
		m.wanted = now
	}
	return now.Sub(m.wanted) >= m.renditions.timing.idle
}
