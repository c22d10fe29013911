package stream

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// ErrNotWanted means that the bridged audio was not made from the publisher's audio in its current
// codec, or that its configuration has not arrived.
var ErrNotWanted = errors.New("bridged audio does not belong to the publisher's")

// setSource sets the codec of the publisher's audio. s.mu is held; its holder flushes the outbox.
func (s *Stream) setSource(now time.Time, source packetbuf.Codec) {
	changed, obsolete := s.bridge.SetSource(source)
	if obsolete {
		s.ring.Forget(packetbuf.BridgedAudio)
	}
	if changed {
		s.askBridge(now)
	}
}

// askBridge requests a bridge if a viewer needs one. s.mu is held; its holder flushes the outbox.
func (s *Stream) askBridge(now time.Time) {
	if s.opts.Bridge == nil || !s.bridge.Needed() {
		return
	}
	if state, _ := s.machine.State(); state == lifecycle.Idle || state == lifecycle.Ended {
		return // the loop requests it once the stream is live
	}
	s.bridge.Asked(now)
	name, to := s.name, s.bridge.Target()
	s.out.add(func() { s.opts.Bridge(name, to) })
}

// selectAudio prepares a reader for the audio codecs that it accepts, and requests a bridge if the
// reader needs one. s.mu is held; its holder flushes the outbox.
func (s *Stream) selectAudio(r *Reader, accepts audio.Codecs) {
	source := s.bridge.Source()
	r.audioSelector = audio.NewSelector(accepts, source)
	r.has[packetbuf.Audio] = s.audible(accepts)
	s.bridge.AddViewers(accepts, 1)
	if accepts.NeedBridge(source) {
		s.askBridge(time.Now())
	}
}

// audible reports whether a viewer that accepts the given codecs can get audio. s.mu is held.
func (s *Stream) audible(accepts audio.Codecs) bool {
	if !s.present[packetbuf.Audio] {
		pub := s.publishers[s.machine.Current()]
		if pub == nil {
			return false
		}
		expected := pub.ExpectedAudio()
		return expected != packetbuf.NoCodec && accepts.Accepts(expected)
	}
	source := s.bridge.Source()
	able := s.opts.Bridge != nil && (s.opts.Bridgeable == nil || s.opts.Bridgeable())
	return accepts.Accepts(source) || able && accepts.NeedBridge(source)
}

// Bridge adds bridged audio to the stream. p is either the configuration, which must arrive first,
// or a frame with its DTS on the stream's clock. The stream owns p from then on.
//
// kept is false for a frame that was dropped because it is older than the stream's buffer, too far
// ahead, or not later than the previous frame. The error is ErrEnded or ErrNotWanted. After
// ErrNotWanted a new bridge may start with the publisher's current audio.
func (s *Stream) Bridge(p *packetbuf.Packet) (kept bool, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, _ := s.machine.State(); state == lifecycle.Ended {
		return false, ErrEnded
	}
	switch s.bridge.Take(p, audio.Place{Oldest: s.ring.Stats().Oldest, Newest: s.newest(), Kind: s.audioKind()}) {
	case audio.Refuse:
		return false, ErrNotWanted
	case audio.Known:
		return true, nil
	case audio.Discard:
		return false, nil
	case audio.Append:
	}
	p.Flags, p.Epoch, p.Arrived, p.CTO = packetbuf.Bridged, s.epoch, now, 0
	s.appendToRing(now, p)
	return true, nil
}
