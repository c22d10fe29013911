package filler

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// silence generates silent audio frames. The zero value generates none.
type silence struct {
	frame   []byte // one silent frame; nil: none can be generated
	codec   packetbuf.Codec
	kind    packetbuf.Kind
	base    time.Duration // DTS of the first silent frame
	frames  int64         // number of silent frames generated
	samples int64         // samples in a frame
	rate    int64         // samples per second
	overdue time.Duration // silence with an earlier DTS is overdue when it is generated
	sparse  time.Duration // DTS of the newest overdue frame that all viewers get
	thins   bool          // overdue silence is being generated
}

// newSilence returns the silence that follows the audio of a held stream, but starts no earlier than
// position oldest.
func newSilence(h Held, oldest time.Duration) silence {
	cfg := h.Configs[packetbuf.Audio]
	samples, rate := codec.AudioFrameDuration(cfg)
	frame, ok := codec.Silence(cfg)
	if !ok || rate == 0 {
		return silence{}
	}
	s := silence{
		frame: frame, codec: cfg.Codec, kind: packetbuf.Delta, samples: int64(samples), rate: int64(rate),
		overdue: h.AudioClock - overdueAfter, sparse: h.LastAudio,
	}
	if h.Keyframe == nil { // a decoder can start at each frame of audio alone
		s.kind = packetbuf.Key
	}
	s.base = max(h.LastAudio, oldest) + s.span(1)
	s.thins = s.base < s.overdue
	return s
}

// span returns the duration of n frames. Counting from the base keeps rounding from adding up.
func (s *silence) span(n int64) time.Duration {
	return time.Duration(n * s.samples * int64(time.Second) / s.rate)
}

// next returns the DTS of the next silent frame, and whether the frame ends at or before position
// end.
func (s *silence) next(end time.Duration) (dts time.Duration, due bool) {
	if s.frame == nil {
		return 0, false
	}
	return s.base + s.span(s.frames), s.base+s.span(s.frames+1) <= end
}

// take generates the next silent frame.
func (s *silence) take() *packetbuf.Packet {
	dts := s.base + s.span(s.frames)
	s.frames++
	return &packetbuf.Packet{
		Track: packetbuf.Audio, Codec: s.codec, Kind: s.kind, Payload: s.frame, DTS: dts.Truncate(time.Millisecond),
	}
}

// thin marks overdue frames that players with a small buffer can do without, and delays the others.
// The last overdue frame is one that all viewers get, so that the last gap is as long as the others.
func (s *silence) thin(p *packetbuf.Packet) {
	if !s.thins {
		return
	}
	if p.DTS+s.span(1)-s.sparse <= overdueSpacing {
		p.Flags |= packetbuf.Overdue
		return
	}
	s.sparse, s.thins = p.DTS, p.DTS < s.overdue
	p.DTS += overdueDelay
}
