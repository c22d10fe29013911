package stream

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// Tap returns the reader of a route, placed at the start of the GOP that contains the packet with
// sequence number from. If that packet has left the buffer, the reader is placed at the oldest GOP.
// If from is 0, it is placed at the newest random-access point, or at a recovery point if the buffer
// holds no keyframe.
//
// A route is not a viewer: it is not counted, and may fall behind as far as the buffer reaches.
// accepts is as for Attach, except that a route without any codec gets no bridged audio.
func (s *Stream) Tap(from uint64, accepts ...packetbuf.Codec) (r *Reader, err error) {
	s.locked(func() { r, err = s.addRoute(from, audio.CodecsOf(accepts)) })
	s.out.flush()
	return r, err
}

// addRoute returns the reader of a route. s.mu is held; its holder flushes the outbox.
func (s *Stream) addRoute(from uint64, accepts audio.Codecs) (*Reader, error) {
	if err := s.playable(); err != nil {
		return nil, err
	}
	r := &Reader{s: s, has: s.present, route: true}
	s.selectAudio(r, accepts)
	if from == 0 {
		r.recovers = true // the destination has to cope with the start at a recovery point
		r.join()
		return r, nil
	}
	cursor, configs, err := s.ring.Back(from)
	if err != nil {
		cursor, configs = s.ring.Live()
		r.waitKey = true
	}
	r.cursor = cursor
	r.queueConfigs(configs)
	return r, nil
}
