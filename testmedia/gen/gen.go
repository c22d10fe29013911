// Package gen makes streams of packets for tests: structured as encoders structure them,
// the same for the same seed, and every frame with a number in it, so that a test can tell
// that none was lost, none came twice and none was harmed on the way. The pictures are not
// decodable; their configurations and the headers of their slices are real.
package gen

import (
	"math/rand/v2"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Options describe a stream. Zero values mean what stands beside them.
type Options struct {
	Seed uint64
	// Source goes into each frame and tells streams, or sessions of one, apart.
	Source uint32

	NoVideo, NoAudio, NoMetadata bool

	Width, Height int     // 1280 by 720 pixels
	FPS           float64 // 30
	// Interval makes the rate variable: the time from picture n to the next, in decoding
	// order. It replaces FPS.
	Interval func(n int) time.Duration
	GOP      int // pictures from one keyframe to the next: two seconds of FPS
	BFrames  int // disposable pictures between two references: 0
	// VideoBitrate is what a GOP comes to on the average, bit/s: 2.5 Mb/s.
	VideoBitrate int

	AudioCodec   packetbuf.Codec // AAC, MP3 or Opus: AAC
	SampleRate   int             // Hz: 48,000
	Channels     int             // 2
	AudioBitrate int             // bit/s: 128 kb/s

	Start time.Duration // DTS of the first frames
	// Wrap folds DTS into 32 bits of milliseconds, as an RTMP publisher's are.
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

// Generator makes one endless stream, in the order in which an encoder sends it: metadata,
// configurations, then frames by their DTS, pictures first.
type Generator struct {
	o       Options
	rng     *rand.Rand
	pending []*packetbuf.Packet // metadata and configurations still to come
	picture int                 // number of the next picture, in decoding order
	sound   int                 // number of the next audio frame
	times   []time.Duration     // of pictures, if Interval is set
}

// New starts a stream.
func New(o Options) *Generator {
	o = o.withDefaults()
	g := &Generator{o: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(o.Source)))} //nolint:gosec // repeatable on purpose
	g.Configure()
	return g
}

// Configure has metadata and configurations come again, before the next frame.
func (g *Generator) Configure() {
	g.pending = g.pending[:0]
	add := func(p *packetbuf.Packet) {
		p.DTS = g.fold(g.o.Start + g.Elapsed())
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

// Next makes the next packet. Without video every audio frame is a Key.
func (g *Generator) Next() *packetbuf.Packet {
	if len(g.pending) > 0 {
		p := g.pending[0]
		g.pending = g.pending[1:]
		return p
	}
	if !g.o.NoVideo && (g.o.NoAudio || g.pictureTime(g.picture) <= g.soundTime(g.sound)) {
		return g.nextPicture()
	}
	return g.nextSound()
}

// Until makes the packets whose DTS is before the given time after Start.
func (g *Generator) Until(d time.Duration) []*packetbuf.Packet {
	var out []*packetbuf.Packet
	for len(g.pending) > 0 || g.Elapsed() < d {
		out = append(out, g.Next())
	}
	return out
}

// Elapsed is the time from Start to the next frame.
func (g *Generator) Elapsed() time.Duration {
	switch {
	case g.o.NoVideo:
		return g.soundTime(g.sound)
	case g.o.NoAudio:
		return g.pictureTime(g.picture)
	}
	return min(g.pictureTime(g.picture), g.soundTime(g.sound))
}

// pictureTime is when picture n is decoded, in whole milliseconds after Start.
func (g *Generator) pictureTime(n int) time.Duration {
	if g.o.Interval == nil {
		return millis(float64(n) * 1000 / g.o.FPS)
	}
	if len(g.times) == 0 {
		g.times = append(g.times, 0)
	}
	for len(g.times) <= n {
		last := len(g.times) - 1
		g.times = append(g.times, g.times[last]+max(g.o.Interval(last).Round(time.Millisecond), time.Millisecond))
	}
	return g.times[n]
}

// soundTime is when audio frame n is due, in whole milliseconds after Start.
func (g *Generator) soundTime(n int) time.Duration {
	return millis(float64(n) * 1000 * float64(g.o.frameSamples()) / float64(g.o.SampleRate))
}

// millis rounds to the next millisecond, as encoders do.
func millis(ms float64) time.Duration { return time.Duration(ms+0.5) * time.Millisecond }

func (g *Generator) fold(d time.Duration) time.Duration {
	if !g.o.Wrap {
		return d
	}
	return d % (1 << 32 * time.Millisecond)
}
