package audio

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// Selector selects the audio of one viewer: the publisher's own or bridged audio. The selection may
// change while the viewer watches.
type Selector struct {
	accepts Codecs
	source  packetbuf.Codec // of the publisher's newest audio that the viewer's cursor has passed
	// own and bridged are the newest configurations that the viewer's cursor has passed. sent is the
	// one that the viewer was sent.
	own, bridged, sent *packetbuf.Packet
	last               *packetbuf.Packet // the newest frame that the viewer was sent
}

// NewSelector returns a selector for a viewer that accepts the given codecs. source is the codec of
// the publisher's audio.
func NewSelector(accepts Codecs, source packetbuf.Codec) Selector {
	return Selector{accepts: accepts, source: source}
}

// Codecs returns the codecs that the viewer accepts.
func (s *Selector) Codecs() Codecs { return s.accepts }

// Join sets the configurations in force at the position where the viewer joins or continues.
func (s *Selector) Join(configs packetbuf.Configs) {
	s.own, s.bridged = configs[packetbuf.Audio], configs[packetbuf.BridgedAudio]
	if s.own != nil {
		s.source = s.own.Codec
	}
}

// Pass records an audio packet that the viewer's cursor passes, whether or not the viewer gets it.
func (s *Selector) Pass(p *packetbuf.Packet) {
	config := p.Kind == packetbuf.Config
	switch {
	case p.Bridged() && config:
		s.bridged = p
	case p.Bridged():
	case config:
		s.own, s.source = p, p.Codec
	default:
		s.source = p.Codec
	}
}

// Wants reports whether the viewer gets p. It gets the publisher's audio if it accepts that codec,
// otherwise bridged audio. After a change from one to the other it gets no frame that is not later
// than the last one it was sent.
func (s *Selector) Wants(p *packetbuf.Packet) bool {
	switch {
	case s.accepts == 0:
		return !p.Bridged()
	case !s.accepts.Has(p.Codec) || p.Bridged() && s.accepts.Has(s.source):
		return false
	case p.Kind == packetbuf.Config:
		return !s.sent.SameConfig(p)
	}
	return s.last == nil || p.DTS > s.last.DTS
}

// MissingConfig returns the configuration that the viewer needs before the frame p, with the
// timestamps of p. It returns nil if the viewer has that configuration or p is itself a
// configuration.
func (s *Selector) MissingConfig(p *packetbuf.Packet) *packetbuf.Packet {
	c := s.own
	if p.Bridged() {
		c = s.bridged
	}
	if p.Kind == packetbuf.Config || s.accepts == 0 || c == nil || c.Codec != p.Codec || s.sent.SameConfig(c) {
		return nil
	}
	return &packetbuf.Packet{
		Track: c.Track, Codec: c.Codec, Kind: c.Kind, Flags: c.Flags, Epoch: c.Epoch, Seq: c.Seq,
		DTS: p.DTS, Arrived: p.Arrived, Payload: c.Payload, Beside: c.Beside,
	}
}

// Sent records a packet that the viewer is sent.
func (s *Selector) Sent(p *packetbuf.Packet) {
	if p.Kind == packetbuf.Config {
		s.sent = p
	} else {
		s.last = p
	}
}

// Resume records a frame that a resuming viewer may have received before it was cut off.
func (s *Selector) Resume(p *packetbuf.Packet) {
	if s.accepts.Has(p.Codec) && (s.last == nil || p.DTS > s.last.DTS) {
		s.last = p
	}
}
