package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// staleKeyframe is the age of the newest keyframe from which the publisher is asked for another, if
// it can be, when a viewer joins: the viewer would have that much to catch up with.
const staleKeyframe = 2 * time.Second

// refreshKeyframe asks for a keyframe where a viewer that joins now would have long to catch up.
// s.mu is held; its holder flushes afterwards.
func (s *Stream) refreshKeyframe(now time.Time) {
	if state, _ := s.machine.State(); state == lifecycle.Held {
		return
	}
	if s.present[packetbuf.Video] && (s.lastKey == nil || now.Sub(s.lastKey.Arrived) >= staleKeyframe) {
		s.publishers[s.machine.Current()].requestKey()
	}
}

// RequestKey asks the publisher for a keyframe, and reports whether it can be asked. It may be called
// often.
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

// Reorders reports whether the publisher sends frames in another order than they are shown in.
func (r *Reader) Reorders() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	pub := r.s.publishers[r.s.machine.Current()]
	return pub != nil && pub.Reorders()
}

// Config returns the publisher's configuration of a track that is in force; nil if there is none.
func (r *Reader) Config(tr packetbuf.Track) *packetbuf.Packet {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.sent[tr]
}

// VideoCodec returns the codec of the publisher's video, which may come without a configuration;
// NoCodec if there is no video yet.
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

// Awaits reports whether a track that the stream does not have may still come: the publisher has
// announced it, or has not said what it sends.
func (r *Reader) Awaits(tr packetbuf.Track) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	pub := r.s.publishers[r.s.machine.Current()]
	if pub == nil || r.s.present[tr] || pub.req.Protocol == ingest.WHIP { // WHIP agrees on its tracks
		return false
	}
	return pub.MayBring(tr)
}

// Has reports whether the stream had the track, in a codec that the viewer can have, when it joined.
func (r *Reader) Has(tr packetbuf.Track) bool { return r.has[tr] }

// Done returns a channel that is closed when the stream has ended; Read tells how.
func (r *Reader) Done() <-chan struct{} { return r.s.done }

// Skips returns how often the viewer has skipped because it fell behind. It is called by the
// goroutine that reads.
func (r *Reader) Skips() uint64 { return r.skips }

// Expire makes Read end at a time, when the viewer's play token expires; the zero Time is never.
func (r *Reader) Expire(at time.Time) { r.until = at }

// Until returns the time that Expire has set.
func (r *Reader) Until() time.Time { return r.until }

// WantRepeats makes the reader also take what is repeated, while the stream is held, for viewers who
// join: what it makes of the stream is for others to start in.
func (r *Reader) WantRepeats() { r.repeats = true }

// NewestKey returns the sequence of the newest random-access point; 0 if there is none.
func (r *Reader) NewestKey() uint64 {
	cursor, _, err := r.s.ring.Join()
	if err != nil {
		return 0
	}
	return cursor.Next()
}
