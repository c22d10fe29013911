package stream

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// ErrNotWanted means that bridged audio is not made of the publisher's audio as it is now, or that
// its configuration has not come.
var ErrNotWanted = errors.New("bridged audio does not belong to the publisher's")

// setSource sets the codec of the publisher's audio. s.mu is held; its holder flushes afterwards.
func (s *Stream) setSource(now time.Time, source packetbuf.Codec) {
	changed, obsolete := s.bridge.SetSource(source)
	if obsolete {
		s.ring.Forget(packetbuf.BridgedAudio)
	}
	if changed {
		s.askBridge(now)
	}
}

// askBridge asks for a bridge if a viewer needs one. s.mu is held; its holder flushes afterwards.
func (s *Stream) askBridge(now time.Time) {
	if s.opts.Bridge == nil || !s.bridge.Needed() {
		return
	}
	if state, _ := s.machine.State(); state == lifecycle.Idle || state == lifecycle.Ended {
		return // the loop asks once it is live
	}
	s.bridge.Asked(now)
	name, to := s.name, s.bridge.Target()
	s.out.add(func() { s.opts.Bridge(name, to) })
}

// selectAudio prepares a reader for the audio that it accepts, and asks for what has to be made for
// it. s.mu is held; its holder flushes afterwards.
func (s *Stream) selectAudio(r *Reader, accepts audio.Codecs) {
	source := s.bridge.Source()
	r.audioSelector = audio.NewSelector(accepts, source)
	r.has[packetbuf.Audio] = s.audible(accepts)
	s.bridge.AddViewers(accepts, 1)
	if accepts.NeedBridge(source) {
		s.askBridge(time.Now())
	}
}

// audible reports whether a viewer that accepts those codecs can have audio. s.mu is held.
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

// Bridge puts audio into the stream that was made of its own: a frame with its DTS on the stream's
// clock, or the configuration, which comes first. p is the stream's from now on.
//
// kept is false for a frame that was dropped because it stands before what the stream has, or not
// behind the frame before it. The error is ErrEnded, or ErrNotWanted, after which a new bridge may
// begin with what the stream's audio is then.
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
