package stream

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// Begin is where a viewer can begin.
type Begin uint8

const (
	// AtKeyframe is of a viewer whose decoder begins at keyframes alone.
	AtKeyframe Begin = iota
	// AtRecovery is of a viewer whose decoder can also begin at a recovery point, where the buffer
	// holds no keyframe.
	AtRecovery
	// Anywhere is of a viewer that reads the stream from elsewhere, such as in chunks.
	Anywhere
)

// NoKeyframeError says that a stream has nothing to begin at and none is to be expected.
type NoKeyframeError struct {
	Since time.Duration // since the newest keyframe
}

func (e *NoKeyframeError) Error() string {
	return fmt.Sprintf("no keyframe for %d s; %s", int(e.Since.Seconds()), e.Hint())
}

// Hint says what the publisher should do.
func (e *NoKeyframeError) Hint() string { return "set the encoder's keyframe interval" }

// noKeyframe returns an error where a viewer that joins now would wait in vain: the buffer has lost
// the newest keyframe, the publisher cannot be asked for another, and by its interval none is due.
// The first such viewer of a session is logged. s.mu is held.
func (s *Stream) noKeyframe(now time.Time) error {
	pub := s.publishers[s.machine.Current()]
	if pub == nil || s.lastKey == nil || !s.present[packetbuf.Video] {
		return nil
	}
	if state, _ := s.machine.State(); state == lifecycle.Held {
		return nil // the next one who publishes begins with one
	}
	if _, ok := pub.session.(ingest.KeyRequester); ok {
		return nil
	}
	since := now.Sub(s.lastKey.Arrived)
	if !pub.KeyframeOverdue(since) {
		return nil
	}
	err := &NoKeyframeError{Since: since}
	if !pub.keyless {
		pub.keyless = true
		s.out.queue = append(s.out.queue, func() {
			s.opts.Log.Warn("viewers refused: no keyframe", "session", pub.session.ID(), "since", since.Round(time.Second).String(), "hint", err.Hint())
		})
	}
	return err
}

// begin finds the viewer's place where it can begin; the error is a *NoKeyframeError.
func (r *Reader) begin(at Begin) error {
	r.recovers = at == AtRecovery
	if r.join() || at == Anywhere {
		return nil
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.noKeyframe(time.Now())
}

// starts reports whether the viewer's decoder can begin at p.
func (r *Reader) starts(p *packetbuf.Packet) bool {
	return p.Kind == packetbuf.Key || r.recovers && p.Recovery > 0
}

// rejoinOverrun finds the place of a viewer whose next packet has left the buffer, with no keyframe
// ahead.
func (r *Reader) rejoinOverrun() (configs packetbuf.Configs, err error) {
	if r.recovers {
		if cursor, configs, err := r.s.ring.JoinRecovery(); err == nil {
			r.cursor, r.waitKey = cursor, false
			return configs, nil
		}
	}
	r.cursor, configs = r.s.ring.Live()
	r.waitKey = true
	if r.route {
		return configs, nil
	}
	r.s.locked(func() { err = r.s.noKeyframe(time.Now()) })
	r.s.flush()
	if err != nil {
		return configs, &EndError{Reason: err.Error(), Again: true}
	}
	return configs, nil
}
