package audio

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// Selector picks the audio of one viewer: the publisher's, or the bridge's, and at times one after
// the other.
type Selector struct {
	accepts Codecs
	source  packetbuf.Codec // of the newest audio of the publisher's that the viewer has passed
	// own and bridged are the newest configurations that the viewer has passed, sent the one that it
	// has been given.
	own, bridged, sent *packetbuf.Packet
	last               *packetbuf.Packet // the newest frame that the viewer has been given
}

// NewSelector returns a selector for a viewer that accepts some codecs, of a stream whose publisher
// sends audio of codec source.
func NewSelector(accepts Codecs, source packetbuf.Codec) Selector {
	return Selector{accepts: accepts, source: source}
}

// Codecs returns the codecs that the viewer accepts.
func (s *Selector) Codecs() Codecs { return s.accepts }

// Join takes the configurations in force where the viewer goes on.
func (s *Selector) Join(configs packetbuf.Configs) {
	s.own, s.bridged = configs[packetbuf.Audio], configs[packetbuf.BridgedAudio]
	if s.own != nil {
		s.source = s.own.Codec
	}
}

// Pass notes a packet of audio that the viewer passes, whether it gets the packet or not.
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

// Wants reports whether the viewer gets p: the publisher's audio if it accepts that, otherwise what
// the bridge makes of it, and after one of them nothing that would go back behind it.
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

// MissingConfig returns the configuration that the viewer needs before the frame p, with the times
// of p; nil if it has the configuration, or p is one.
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

// Sent notes a packet that the viewer is given.
func (s *Selector) Sent(p *packetbuf.Packet) {
	if p.Kind == packetbuf.Config {
		s.sent = p
	} else {
		s.last = p
	}
}

// Resume notes a frame that a viewer which was cut off may have been given before.
func (s *Selector) Resume(p *packetbuf.Packet) {
	if s.accepts.Has(p.Codec) && (s.last == nil || p.DTS > s.last.DTS) {
		s.last = p
	}
}
