package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// staleKeyframe is the age of the newest keyframe from which a joining viewer makes the relay ask
// the publisher for another one, if the publisher supports that. Otherwise the viewer would be that
// far behind.
const staleKeyframe = 2 * time.Second

// refreshKeyframe asks the publisher for a keyframe if a viewer that joins now would start far
// behind. s.mu is held; its holder flushes the outbox.
func (s *Stream) refreshKeyframe(now time.Time) {
	if state, _ := s.machine.State(); state == lifecycle.Held {
		return
	}
	if s.present[packetbuf.Video] && (s.lastKey == nil || now.Sub(s.lastKey.Arrived) >= staleKeyframe) {
		s.publishers[s.machine.Current()].requestKey()
	}
}

// RequestKey asks the publisher for a keyframe, and reports whether the publisher supports that. It
// may be called often.
func (r *Reader) RequestKey() (ok bool) {
	s := r.s
	s.locked(func() {
		if s.feeding() {
			ok = s.publishers[s.machine.Current()].requestKey()
		}
	})
	s.out.flush()
	return ok
}

// Reorders reports whether the publisher's frames are sent in a different order than they are
// displayed, as with B-frames.
func (r *Reader) Reorders() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	pub := r.s.publishers[r.s.machine.Current()]
	return pub != nil && pub.Reorders()
}

// Config returns the publisher's current configuration of a track, or nil if there is none.
func (r *Reader) Config(tr packetbuf.Track) *packetbuf.Packet {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.sent[tr]
}

// VideoCodec returns the codec of the publisher's video, which may have no configuration. It returns
// NoCodec if no video has arrived.
func (r *Reader) VideoCodec() packetbuf.Codec {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	switch {
	case r.s.sent[packetbuf.Video] != nil:
		return r.s.sent[packetbuf.Video].Codec
	case r.s.lastKey != nil:
		return r.s.lastKey.Codec
	}
	return packetbuf.NoCodec
}

// Awaits reports whether a track that the stream does not have may still arrive: the publisher has
// announced it, or has not said which tracks it sends.
func (r *Reader) Awaits(tr packetbuf.Track) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	pub := r.s.publishers[r.s.machine.Current()]
	if pub == nil || r.s.present[tr] || pub.req.Protocol == ingest.WHIP { // WHIP negotiates its tracks
		return false
	}
	return pub.MayBring(tr)
}

// Has reports whether the stream had the track, in a codec that the viewer accepts, when the viewer
// joined.
func (r *Reader) Has(tr packetbuf.Track) bool { return r.has[tr] }

// Done returns a channel that is closed when the stream has ended. Read then returns the reason.
func (r *Reader) Done() <-chan struct{} { return r.s.done }

// Skips returns how often the viewer has skipped because it fell behind. Only the goroutine that
// calls Read may call it.
func (r *Reader) Skips() uint64 { return r.skips }

// Expire makes Read fail after time at, when the viewer's play token expires. The zero Time means
// never.
func (r *Reader) Expire(at time.Time) { r.until = at }

// Until returns the time set by Expire.
func (r *Reader) Until() time.Time { return r.until }

// WantRepeats makes the reader also return the frames that are repeated for joining viewers while
// the stream is held. It is for readers whose output others join, such as a segmenter.
func (r *Reader) WantRepeats() { r.repeats = true }

// NewestKey returns the sequence number of the newest random-access point, or 0 if there is none.
func (r *Reader) NewestKey() uint64 {
	cursor, _, err := r.s.ring.Join()
	if err != nil {
		return 0
	}
	return cursor.Next()
}
