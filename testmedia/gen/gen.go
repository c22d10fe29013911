// Package gen generates streams of packets for tests. They have the structure of an encoder's output and
// are equal for equal seeds. Every frame carries a number and a checksum, so that a test can detect lost,
// repeated and damaged frames. The video cannot be decoded, but its configuration and slice headers are
// valid.
package gen

import (
	"math/rand/v2"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Options describe a stream. The comments give the defaults for zero values.
type Options struct {
	Seed uint64
	// Source is part of each frame. It identifies a stream, or one session of it.
	Source uint32

	NoVideo, NoAudio, NoMetadata bool

	Width, Height int     // 1280 x 720 pixels
	FPS           float64 // 30
	// Interval returns the time from video frame n to the next, in decoding order, for a variable frame
	// rate. It replaces FPS.
	Interval func(n int) time.Duration
	GOP      int // frames from one keyframe to the next; default: two seconds
	BFrames  int // disposable frames between two reference frames; default: 0
	// VideoBitrate is the average over a GOP in bit/s; default: 2.5 Mb/s.
	VideoBitrate int

	AudioCodec   packetbuf.Codec // AAC, MP3 or Opus; default: AAC
	SampleRate   int             // in Hz; default: 48,000
	Channels     int             // 2
	AudioBitrate int             // in bit/s; default: 128 kb/s

	Start time.Duration // DTS of the first frames
	// Wrap wraps DTS at 32 bits of milliseconds, as an RTMP publisher does.
	Wrap bool
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	if o.FPS == 0 {
		o.FPS = 30
	}
	if o.AudioCodec == packetbuf.NoCodec {
		o.AudioCodec = packetbuf.AAC
	}
	def(&o.Width, 1280)
	def(&o.Height, 720)
	def(&o.GOP, max(1, int(2*o.FPS+0.5)))
	def(&o.VideoBitrate, 2_500_000)
	def(&o.SampleRate, 48000)
	def(&o.Channels, 2)
	def(&o.AudioBitrate, 128_000)
	return o
}

// Generator generates an endless stream in an encoder's order: metadata, configuration, then frames by
// DTS, video first.
type Generator struct {
	o          Options
	rng        *rand.Rand
	pending    []*packetbuf.Packet // metadata and configuration to return next
	frame      int                 // number of the next video frame, in decoding order
	audioFrame int                 // number of the next audio frame
	videoTimes []time.Duration     // DTS of video frames, if Interval is set
}

// New returns a generator of a new stream.
func New(o Options) *Generator {
	o = o.withDefaults()
	g := &Generator{o: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(o.Source)))} //nolint:gosec // reproducible on purpose
	g.Configure()
	return g
}

// Configure repeats metadata and configuration before the next frame.
func (g *Generator) Configure() {
	g.pending = g.pending[:0]
	add := func(p *packetbuf.Packet) {
		p.DTS = g.wrap(g.o.Start + g.Elapsed())
		g.pending = append(g.pending, p)
	}
	if !g.o.NoMetadata {
		add(g.metadata())
	}
	if !g.o.NoVideo {
		add(g.videoConfig())
	}
	if !g.o.NoAudio && g.o.AudioCodec != packetbuf.MP3 {
		add(g.audioConfig())
	}
}

// Next returns the next packet. In a stream without video, every audio frame has the kind Key.
func (g *Generator) Next() *packetbuf.Packet {
	if len(g.pending) > 0 {
		p := g.pending[0]
		g.pending = g.pending[1:]
		return p
	}
	if !g.o.NoVideo && (g.o.NoAudio || g.videoTime(g.frame) <= g.audioTime(g.audioFrame)) {
		return g.nextVideo()
	}
	return g.nextAudio()
}

// Until returns the packets whose DTS is less than d after Start.
func (g *Generator) Until(d time.Duration) []*packetbuf.Packet {
	var out []*packetbuf.Packet
	for len(g.pending) > 0 || g.Elapsed() < d {
		out = append(out, g.Next())
	}
	return out
}

// Elapsed returns the time from Start to the next frame.
func (g *Generator) Elapsed() time.Duration {
	switch {
	case g.o.NoVideo:
		return g.audioTime(g.audioFrame)
	case g.o.NoAudio:
		return g.videoTime(g.frame)
	}
	return min(g.videoTime(g.frame), g.audioTime(g.audioFrame))
}

// videoTime returns the DTS of video frame n in whole milliseconds after Start.
func (g *Generator) videoTime(n int) time.Duration {
	if g.o.Interval == nil {
		return millis(float64(n) * 1000 / g.o.FPS)
	}
	if len(g.videoTimes) == 0 {
		g.videoTimes = append(g.videoTimes, 0)
	}
	for len(g.videoTimes) <= n {
		last := len(g.videoTimes) - 1
		g.videoTimes = append(g.videoTimes, g.videoTimes[last]+max(g.o.Interval(last).Round(time.Millisecond), time.Millisecond))
	}
	return g.videoTimes[n]
}

// audioTime returns the DTS of audio frame n in whole milliseconds after Start.
func (g *Generator) audioTime(n int) time.Duration {
	return millis(float64(n) * 1000 * float64(g.o.frameSamples()) / float64(g.o.SampleRate))
}

// millis rounds to the nearest millisecond, as encoders do.
func millis(ms float64) time.Duration { return time.Duration(ms+0.5) * time.Millisecond }

func (g *Generator) wrap(d time.Duration) time.Duration {
	if !g.o.Wrap {
		return d
	}
	return d % (1 << 32 * time.Millisecond)
}
