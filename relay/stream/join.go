package stream

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// ErrNotLive means that the stream has nothing to play yet.
var ErrNotLive = errors.New("the stream is not live")

// playable returns an error if the stream has nothing to read. s.mu is held.
func (s *Stream) playable() error {
	switch state, _ := s.machine.State(); state {
	case lifecycle.Idle:
		return ErrNotLive
	case lifecycle.Ended:
		return ErrEnded
	case lifecycle.Live, lifecycle.Suspect, lifecycle.Held:
	}
	return nil
}

// addViewer returns the reader of a new viewer. It does not have a position in the ring yet.
func (s *Stream) addViewer(protocol string, accepts audio.Codecs) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.playable(); err != nil {
		return nil, err
	}
	r := &Reader{s: s, protocol: protocol, has: s.present, fragile: protocol == "httpflv" || protocol == "rtmp"}
	s.selectAudio(r, accepts)
	s.viewers[protocol]++
	s.opts.Load.viewers.Add(1)
	return r, nil
}

// Close removes the viewer from the stream.
func (r *Reader) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.s.taken.Add(r.taken)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.bridge.AddViewers(r.audioSelector.Codecs(), -1)
	if r.route {
		return
	}
	r.s.viewers[r.protocol]--
	if r.s.viewers[r.protocol] == 0 {
		delete(r.s.viewers, r.protocol)
	}
	r.s.opts.Load.viewers.Add(-1)
}

// start places the viewer at a position where it can start. The error is a *NoKeyframeError.
func (r *Reader) start(at Begin) error {
	r.recovers = at == AtRecovery
	if r.join() || at == Anywhere {
		return nil
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.s.noKeyframe(time.Now())
}

// join places the viewer at the newest random-access point, and reports whether one exists.
// Otherwise the viewer waits for the next one.
func (r *Reader) join() bool {
	join := r.s.ring.Join
	if r.recovers {
		join = r.s.ring.JoinRecovery
	}
	cursor, configs, err := join()
	if err != nil {
		cursor, configs = r.s.ring.Live()
		r.waitKey = true
	}
	r.cursor, r.since = cursor, cursor.Next()
	r.queueConfigs(configs)
	return err == nil
}

// rejoinOverrun places a viewer whose next packet has left the buffer, if no keyframe follows in the
// buffer.
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
	r.s.out.flush()
	if err != nil {
		return configs, &EndError{Reason: err.Error(), Again: true}
	}
	return configs, nil
}

// Skip continues at the newest random-access point if the viewer has not reached it yet.
func (r *Reader) Skip() {
	if configs, ok := r.cursor.Skip(); ok {
		r.waitKey, r.pending, r.videoEpoch, r.woken = false, nil, 0, nil
		r.queueConfigs(configs)
	}
}

// Rewind continues at the newest random-access point, even if the viewer has already read it. If
// none exists, Rewind does nothing and returns false.
func (r *Reader) Rewind() bool {
	cursor, configs, err := r.s.ring.Join()
	if err != nil {
		return false
	}
	r.cursor, r.waitKey, r.pending, r.videoEpoch, r.woken = cursor, false, nil, 0, nil
	r.queueConfigs(configs)
	return true
}

// queueConfigs queues the configurations that the viewer does not have, to be read before the next
// packet.
func (r *Reader) queueConfigs(configs packetbuf.Configs) {
	for _, slot := range []int{int(packetbuf.Data), int(packetbuf.Video), int(packetbuf.Audio), packetbuf.BridgedAudio} {
		if c := configs[slot]; c != nil && c != r.sent[slot] {
			r.pending = append(r.pending, c)
		}
	}
	r.audioSelector.Join(configs)
}
