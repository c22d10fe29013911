package stream

import (
	"bytes"
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// ErrNotWanted: bridged sound that is not what is made of the publisher's sound as it is now, or
// whose configuration has not come.
var ErrNotWanted = errors.New("the bridge's sound does not belong to the publisher's")

const (
	// renewEvery is how often a bridge is asked for again.
	renewEvery = time.Second
	// ahead is how far before all media bridged sound may stand; an encoder makes it a little
	// later than what it is made of.
	ahead = time.Second
)

// bridge is what the stream knows of the bridged sound beside its own.
type bridge struct {
	listeners map[sounds]int    // viewers by what they take, but for those who take anything
	source    packetbuf.Codec   // of the publisher's sound
	config    *packetbuf.Packet // in force
	begun     bool
	last      time.Duration // DTS of the newest frame
	asked     time.Time     // when it was last asked for
}

// soundIs notes the codec of the publisher's sound. What was made of another is not in force any
// more, unless the same is made of this one. s.mu is held.
func (s *Stream) soundIs(now time.Time, source packetbuf.Codec) {
	b := &s.bridge
	if b.source == source {
		return
	}
	if target(b.source) != target(source) {
		b.config = nil
		s.ring.Forget(packetbuf.BridgedAudio)
	}
	b.source = source
	s.askBridge(now)
}

// renewBridge asks again for what somebody needs. s.mu is held.
func (s *Stream) renewBridge(now time.Time) {
	if now.Sub(s.bridge.asked) >= renewEvery-renewEvery/10 {
		s.askBridge(now)
	}
}

// askBridge asks for a bridge if somebody needs one. s.mu is held; whoever holds it flushes
// afterwards.
func (s *Stream) askBridge(now time.Time) {
	if s.opts.Bridge == nil || !s.bridgeNeeded() {
		return
	}
	if state, _ := s.life.State(); state == lifecycle.Idle || state == lifecycle.Ended {
		return // the loop asks once it is live
	}
	s.bridge.asked = now
	name, to := s.name, target(s.bridge.source)
	s.out.queue = append(s.out.queue, func() { s.opts.Bridge(name, to) })
}

func (s *Stream) bridgeNeeded() bool {
	for takes := range s.bridge.listeners {
		if takes.bridges(s.bridge.source) {
			return true
		}
	}
	return false
}

// hear lets a reader have the sound that it takes, and asks for what has to be made for it. s.mu
// is held; whoever holds it flushes afterwards.
func (s *Stream) hear(r *Reader, takes sounds) {
	r.hearing = hearing{takes: takes, source: s.bridge.source}
	r.has[packetbuf.Audio] = s.audible(takes)
	s.listens(takes, 1)
	if takes.bridges(s.bridge.source) {
		s.askBridge(time.Now())
	}
}

// listens counts a viewer by what it takes. s.mu is held.
func (s *Stream) listens(takes sounds, n int) {
	if takes == 0 {
		return
	}
	s.bridge.listeners[takes] += n
	if s.bridge.listeners[takes] == 0 {
		delete(s.bridge.listeners, takes)
	}
}

// audible tells whether who takes those codecs can have sound. s.mu is held.
func (s *Stream) audible(takes sounds) bool {
	source := s.bridge.source
	able := s.opts.Bridge != nil && (s.opts.Bridgeable == nil || s.opts.Bridgeable())
	if !s.present[packetbuf.Audio] {
		pub := s.publishers[s.life.Current()]
		if pub == nil {
			return false
		}
		expected := pub.ExpectedAudio()
		return expected != packetbuf.NoCodec && (takes == 0 || takes.has(expected))
	}
	return takes == 0 || takes.has(source) || able && takes.bridges(source)
}

// Bridge puts sound into the stream that was made of its own: a frame with its DTS on the
// stream's clock, or the configuration, which comes first. p is the stream's from now on.
//
// kept is false for a frame that was dropped because it stands before what the stream has, or
// not behind the frame before it. The error is ErrEnded, or ErrNotWanted, after which a new
// bridge may begin with what the stream's sound is then.
func (s *Stream) Bridge(p *packetbuf.Packet) (kept bool, err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &s.bridge
	if state, _ := s.life.State(); state == lifecycle.Ended {
		return false, ErrEnded
	}
	if p.Track != packetbuf.Audio || p.Codec == packetbuf.NoCodec || p.Codec != target(b.source) {
		return false, ErrNotWanted
	}
	p.Flags, p.Epoch, p.Arrived, p.CTO = packetbuf.Bridged, s.epoch, now, 0
	if p.Kind == packetbuf.Config {
		if b.config != nil && b.config.Codec == p.Codec && bytes.Equal(b.config.Payload, p.Payload) {
			return true, nil
		}
		p.DTS, b.config = s.newest(), p
		s.append(now, p)
		return true, nil
	}
	if b.config == nil {
		return false, ErrNotWanted
	}
	p.DTS, p.Kind = p.DTS.Round(time.Millisecond), s.madeAudioKind()
	if p.DTS < s.ring.Stats().Oldest || p.DTS > s.newest()+ahead || p.DTS < 0 || b.begun && p.DTS <= b.last {
		return false, nil
	}
	b.begun, b.last = true, p.DTS
	s.append(now, p)
	return true, nil
}
