package push

import (
	"context"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// overlap is how far beyond the first video frame of the next source the current source is read,
	// for tracks that have not switched yet. Publishers interleave more tightly.
	overlap = time.Second
	// maxBehind is how far the next source may start behind the last frame that was read, if the frames
	// in between were dropped. The difference becomes lag.
	maxBehind = 500 * time.Millisecond
	// sourceTimeout is how long a source may deliver nothing while another is ready.
	sourceTimeout = 2 * time.Second
)

// source is the stream that a sender reads, or one of its renditions.
type source struct {
	tap    Tap
	offer  string
	offset time.Duration
	ready  []*packetbuf.Packet // packets already read

	// For a source to switch to:
	opened        time.Time
	videoDTS      time.Duration // DTS of its first video frame, on the stream's clock
	videoPTS      time.Duration // PTS of that frame
	audioDTS      time.Duration // DTS of its first audio frame, if hasAudio
	hasAudio      bool
	videoSwitched bool // video of the current source has reached videoDTS
	audioSwitched bool // audio of the current source has reached audioDTS
}

// openSource opens an offer at its newest keyframe. It returns nil if the offer has none yet.
func openSource(ctx context.Context, streams Streams, o Offer) *source {
	tap, err := streams.Tap(o.Stream, 0)
	if err != nil {
		return nil
	}
	n := &source{tap: tap, offer: o.Name, opened: time.Now()}
	if o.Name != "" {
		n.offset = o.Offset.Round(time.Millisecond) // timestamps are in milliseconds
	}
	packets, err := tap.Read(ctx)
	n.ready = append(n.ready, packets...)
	found := false
	for _, p := range packets {
		switch {
		case !p.Media():
		case p.Track == packetbuf.Video && p.Kind == packetbuf.Key && !found:
			n.videoDTS, n.videoPTS, found = p.DTS+n.offset, p.PTS()+n.offset, true
		case p.Track == packetbuf.Audio && !n.hasAudio:
			n.audioDTS, n.hasAudio = p.DTS+n.offset, true
		}
	}
	if err != nil || !found || n.videoDTS < 0 {
		tap.Close()
		return nil
	}
	return n
}

// rebase moves a packet to the stream's clock. It returns a copy for a packet of a rendition, and nil for
// a packet before the start of the clock.
func (s *source) rebase(p *packetbuf.Packet) *packetbuf.Packet {
	if s.offer == "" {
		return p
	}
	dts := p.DTS + s.offset
	if dts < 0 && p.Media() {
		return nil
	}
	return retimed(p, max(dts, 0), p.Arrived)
}

// retimed returns a copy of p with another DTS and arrival time.
func retimed(p *packetbuf.Packet, dts time.Duration, arrived time.Time) *packetbuf.Packet {
	return &packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, Flags: p.Flags, Epoch: p.Epoch, Seq: p.Seq,
		DTS: dts, CTO: p.CTO, Arrived: arrived, Payload: p.Payload, Beside: p.Beside,
	}
}

// withParameterSets returns a keyframe with the SPS and PPS of its configuration in front. Some decoders
// and segmenters use the old parameter sets until others arrive in band.
func withParameterSets(key, cfg *packetbuf.Packet) *packetbuf.Packet {
	if key.Codec != packetbuf.H264 || cfg == nil {
		return key
	}
	c, err := codec.ParseAVCConfig(cfg.Payload)
	if err != nil || c.LengthSize != 4 || codec.AVCHas(key.Payload, c.LengthSize, codec.NALSPS) {
		return key
	}
	out := retimed(key, key.DTS, key.Arrived)
	out.Payload = append(c.AppendParameterSets(nil), key.Payload...)
	return out
}

// takesOver reports whether this source replaces p, a packet of the current source. Each track
// switches separately, since two sources are rarely interleaved alike. Video switches at the first
// frame whose PTS is equal to or after that of this source's first frame, because all later frames
// may refer to it.
func (s *source) takesOver(p *packetbuf.Packet) bool {
	switch {
	case p.Track == packetbuf.Video && !p.Media():
		return s.videoSwitched
	case !p.Media():
		return false
	case p.DTS >= s.videoDTS+overlap:
		s.videoSwitched, s.audioSwitched = true, true
		return true
	case p.Track == packetbuf.Video && (s.videoSwitched || p.DTS >= s.videoDTS || p.PTS() >= s.videoPTS):
		s.videoSwitched = true
		return true
	case p.Track == packetbuf.Audio && s.hasAudio && p.DTS >= s.audioDTS:
		s.audioSwitched = true
		return true
	}
	return false
}

// started reports whether a track has switched. From then on, returning to the current source would leave
// a gap.
func (s *source) started() bool { return s.videoSwitched || s.audioSwitched }

// complete reports whether all tracks have switched.
func (s *source) complete() bool { return s.videoSwitched && (s.audioSwitched || !s.hasAudio) }
