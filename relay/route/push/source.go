package push

import (
	"context"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// overlap is how far behind the first picture of another source the one so far is read at
	// the most, for the tracks whose turn to change has not come: publishers interleave less.
	overlap = time.Second
	// behind is how far another source may begin behind what was read last, where the pictures
	// from there on were left out: those become lag.
	behind = 500 * time.Millisecond
	// overdue is how long a source that brings nothing is waited for where another is ready.
	overdue = 2 * time.Second
)

// source is the stream that a sender reads, or one of its renditions.
type source struct {
	tap    Tap
	offer  string
	offset time.Duration
	ready  []*packetbuf.Packet // read already

	// Of a source to be switched to:
	opened   time.Time
	start    time.Duration // DTS of its first picture on the stream's clock
	shown    time.Duration // and its PTS
	sound    time.Duration // and of its first sound, if it was heard
	heard    bool
	pictures bool // those of the source so far have come up to start
	sounds   bool // and its sound up to sound
}

// open reads where an offer is to be switched to. It returns nil where that is nowhere yet.
func open(ctx context.Context, streams Streams, o Offer) *source {
	tap, err := streams.Tap(o.Stream, 0)
	if err != nil {
		return nil
	}
	n := &source{tap: tap, offer: o.Name, opened: time.Now()}
	if o.Name != "" {
		n.offset = o.Offset.Round(time.Millisecond) // as all timestamps are
	}
	packets, err := tap.Read(ctx)
	n.ready = append(n.ready, packets...)
	found := false
	for _, p := range packets {
		switch {
		case !p.Media():
		case p.Track == packetbuf.Video && p.Kind == packetbuf.Key && !found:
			n.start, n.shown, found = p.DTS+n.offset, p.PTS()+n.offset, true
		case p.Track == packetbuf.Audio && !n.heard:
			n.sound, n.heard = p.DTS+n.offset, true
		}
	}
	if err != nil || !found || n.start < 0 {
		tap.Close()
		return nil
	}
	return n
}

// place puts a packet on the stream's clock; nil: it stands before its beginning. A packet of a
// rendition comes out as a copy.
func (s *source) place(p *packetbuf.Packet) *packetbuf.Packet {
	if s.offer == "" {
		return p
	}
	dts := p.DTS + s.offset
	if dts < 0 && p.Media() {
		return nil
	}
	return moved(p, max(dts, 0), p.Arrived)
}

// moved is a packet with other times.
func moved(p *packetbuf.Packet, dts time.Duration, arrived time.Time) *packetbuf.Packet {
	return &packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, Flags: p.Flags, Epoch: p.Epoch, Seq: p.Seq,
		DTS: dts, CTO: p.CTO, Arrived: arrived, Payload: p.Payload, Beside: p.Beside,
	}
}

// withParameterSets is a keyframe with the SPS and PPS of its configuration in front: some
// decoders, and what cuts a stream into frames for them, hold on to the old ones until they see
// others in band.
func withParameterSets(key, cfg *packetbuf.Packet) *packetbuf.Packet {
	if key.Codec != packetbuf.H264 || cfg == nil {
		return key
	}
	c, err := codec.ParseAVCConfig(cfg.Payload)
	if err != nil || c.LengthSize != 4 || codec.AVCHas(key.Payload, c.LengthSize, codec.NALSPS) {
		return key
	}
	out := moved(key, key.DTS, key.Arrived)
	out.Payload = append(c.AppendParameterSets(nil), key.Payload...)
	return out
}

// takesOver tells whether p, of the source so far, gives way to this one. Each track changes
// for itself: two sources are hardly interleaved alike. A picture gives way that would be shown
// as late as the first of this one, and with it all that come after it: they may refer to it.
func (s *source) takesOver(p *packetbuf.Packet) bool {
	switch {
	case p.Track == packetbuf.Video && !p.Media():
		return s.pictures
	case !p.Media():
		return false
	case p.DTS >= s.start+overlap:
		s.pictures, s.sounds = true, true
		return true
	case p.Track == packetbuf.Video && (s.pictures || p.DTS >= s.start || p.PTS() >= s.shown):
		s.pictures = true
		return true
	case p.Track == packetbuf.Audio && s.heard && p.DTS >= s.sound:
		s.sounds = true
		return true
	}
	return false
}

// begun tells whether a track has changed over: there is no way back then without a gap.
func (s *source) begun() bool { return s.pictures || s.sounds }

// over tells whether the source so far has nothing more to give.
func (s *source) over() bool { return s.pictures && (s.sounds || !s.heard) }
