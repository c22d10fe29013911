package stream

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// sounds is a set of codecs: what a viewer takes. The empty one takes the publisher's own sound,
// whatever it is.
type sounds uint32

func soundsOf(codecs []packetbuf.Codec) (s sounds) {
	for _, c := range codecs {
		s |= 1 << c
	}
	return s
}

func (s sounds) has(c packetbuf.Codec) bool { return c != packetbuf.NoCodec && s&(1<<c) != 0 }

// bridges tells whether who takes s is to have the publisher's sound of codec c in the codec
// that target gives.
func (s sounds) bridges(c packetbuf.Codec) bool { return !s.has(c) && s.has(target(c)) }

// target is what a publisher's sound is bridged to.
func target(source packetbuf.Codec) packetbuf.Codec {
	switch source {
	case packetbuf.NoCodec:
		return packetbuf.NoCodec
	case packetbuf.Opus:
		return packetbuf.AAC
	}
	return packetbuf.Opus
}

// hearing is what a viewer hears: the publisher's sound, or that of the bridge, and at times one
// after the other.
type hearing struct {
	takes  sounds
	source packetbuf.Codec // of the publisher's sound that the viewer came past last
	// own and bridged are the configurations that the viewer came past last, had those it has
	// had.
	own, bridged, had *packetbuf.Packet
	last              *packetbuf.Packet // the newest frame that the viewer has had
}

// join takes the configurations in force where the viewer goes on.
func (h *hearing) join(configs packetbuf.Configs) {
	h.own, h.bridged = configs[packetbuf.Audio], configs[packetbuf.BridgedAudio]
	if h.own != nil {
		h.source = h.own.Codec
	}
}

// note looks at a packet of sound that the viewer comes past.
func (h *hearing) note(p *packetbuf.Packet) {
	config := p.Kind == packetbuf.Config
	switch {
	case p.Bridged() && config:
		h.bridged = p
	case p.Bridged():
	case config:
		h.own, h.source = p, p.Codec
	default:
		h.source = p.Codec
	}
}

// wants tells whether the viewer is to have p: the publisher's sound if it takes that, else
// what the bridge makes of it; and after one of them nothing that would go back behind it.
func (h *hearing) wants(p *packetbuf.Packet) bool {
	switch {
	case h.takes == 0:
		return !p.Bridged()
	case !h.takes.has(p.Codec) || p.Bridged() && h.takes.has(h.source):
		return false
	case p.Kind == packetbuf.Config:
		return !h.had.SameConfig(p)
	}
	return h.last == nil || p.DTS > h.last.DTS
}

// lacks is the configuration that the viewer needs before it can take the frame p; nil if it has
// it. It stands where p does.
func (h *hearing) lacks(p *packetbuf.Packet) *packetbuf.Packet {
	c := h.own
	if p.Bridged() {
		c = h.bridged
	}
	if h.takes == 0 || c == nil || c.Codec != p.Codec || h.had.SameConfig(c) {
		return nil
	}
	return &packetbuf.Packet{
		Track: c.Track, Codec: c.Codec, Kind: c.Kind, Flags: c.Flags, Epoch: c.Epoch, Seq: c.Seq,
		DTS: p.DTS, Arrived: p.Arrived, Payload: c.Payload, Beside: c.Beside,
	}
}

// got notes what the viewer is given.
func (h *hearing) got(p *packetbuf.Packet) {
	if p.Kind == packetbuf.Config {
		h.had = p
	} else {
		h.last = p
	}
}
