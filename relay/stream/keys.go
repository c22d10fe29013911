package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// oldKey is how old the newest keyframe may be that a viewer joins at before its publisher is
// asked for another, where it can be: there is that much to catch up with.
const oldKey = 2 * time.Second

// requestKey asks a session for a keyframe and returns whether it can be asked. s.mu is held;
// whoever holds it flushes afterwards.
func (s *Stream) requestKey(pub *publisherSession) bool {
	if pub == nil {
		return false
	}
	k, ok := pub.session.(ingest.KeyRequester)
	if ok {
		s.out.queue = append(s.out.queue, k.RequestKey)
	}
	return ok
}

// needKey asks for a keyframe where who joins now would have long to catch up. s.mu is held.
func (s *Stream) needKey(now time.Time) {
	if state, _ := s.machine.State(); state == lifecycle.Held {
		return
	}
	if s.present[packetbuf.Video] && (s.lastKey == nil || now.Sub(s.lastKey.Arrived) >= oldKey) {
		s.requestKey(s.publishers[s.machine.Current()])
	}
}

// RequestKey asks the publisher for a keyframe, and returns whether it is one that can be
// asked. It may be called often.
func (r *Reader) RequestKey() bool {
	s, ok := r.s, false
	s.locked(func() {
		if state, _ := s.machine.State(); state == lifecycle.Live || state == lifecycle.Suspect {
			ok = s.requestKey(s.publishers[s.machine.Current()])
		}
	})
	s.flush()
	return ok
}

// Rewind goes on at the newest random-access point, also where that has been read already. It
// returns false, and does not move, where there is none.
func (r *Reader) Rewind() bool {
	cursor, configs, err := r.s.ring.Join()
	if err != nil {
		return false
	}
	r.cursor, r.waitKey, r.pending, r.pictures, r.woken = cursor, false, nil, 0, nil
	r.queue(configs)
	return true
}

// Reorders tells whether the publisher sends pictures in another order than they are shown in.
func (r *Reader) Reorders() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	pub := r.s.publishers[r.s.machine.Current()]
	return pub != nil && pub.Reorders()
}

// Config is the publisher's configuration of a track that is in force; nil where there is none.
func (r *Reader) Config(tr packetbuf.Track) *packetbuf.Packet {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.sent[tr]
}

// Picture is the codec of the publisher's pictures, of which some come without a configuration;
// NoCodec where there are none yet.
func (r *Reader) Picture() packetbuf.Codec {
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
