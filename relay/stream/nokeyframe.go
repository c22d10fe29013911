package stream

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// Begin says where a viewer can start.
type Begin uint8

const (
	// AtKeyframe is for a viewer whose decoder starts only at keyframes.
	AtKeyframe Begin = iota
	// AtRecovery is for a viewer whose decoder can also start at a recovery point, if the buffer holds
	// no keyframe.
	AtRecovery
	// Anywhere is for a viewer that gets the stream by other means than this reader, such as in LL-HLS
	// chunks.
	Anywhere
)

// NoKeyframeError means that a stream has no keyframe to start at and that none is expected soon.
type NoKeyframeError struct {
	Since time.Duration // since the newest keyframe
}

func (e *NoKeyframeError) Error() string {
	return fmt.Sprintf("no keyframe for %d s; %s", int(e.Since.Seconds()), e.Hint())
}

// Hint returns what the publisher should do.
func (e *NoKeyframeError) Hint() string { return "set the encoder's keyframe interval" }

// noKeyframe returns an error if a viewer that joins now would wait in vain: the newest keyframe has
// left the buffer, the publisher cannot be asked for another, and judging by its keyframe interval
// none is due. For each session, only the first such viewer is logged. s.mu is held.
func (s *Stream) noKeyframe(now time.Time) error {
	pub := s.publishers[s.machine.Current()]
	if pub == nil || s.lastKey == nil || !s.present[packetbuf.Video] {
		return nil
	}
	if state, _ := s.machine.State(); state == lifecycle.Held {
		return nil // the next session starts with a keyframe
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
		s.out.add(func() {
			s.opts.Log.Warn("viewers refused: no keyframe", "session", pub.session.ID(), "since", since.Round(time.Second).String(), "hint", err.Hint())
		})
	}
	return err
}
