package stream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// laggard is a viewer that reads seldom, and what it holds true of all that it gets.
type laggard struct {
	t     *testing.T
	r     *Reader
	sizes map[uint32]int // a session's width, by its epoch
	last  [packetbuf.NumTracks]time.Duration
	epoch uint32 // of the last keyframe
	width int    // as its configuration says
	keys  int
}

func (l *laggard) read() {
	l.t.Helper()
	packets, err := drain(l.t, l.r)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range packets {
		switch {
		case p.Kind == packetbuf.Config && p.Track == packetbuf.Video:
			info, err := codec.Describe(p)
			if err != nil {
				l.t.Fatal(err)
			}
			l.width = info.Width
		case p.Media():
			l.media(p)
		}
	}
}

func (l *laggard) media(p *packetbuf.Packet) {
	l.t.Helper()
	if p.DTS <= l.last[p.Track] && l.last[p.Track] > 0 {
		l.t.Fatalf("%v went from %v to %v", p.Track, l.last[p.Track], p.DTS)
	}
	l.last[p.Track] = p.DTS
	if p.Track != packetbuf.Video {
		return
	}
	if p.Kind == packetbuf.Key {
		l.epoch = p.Epoch
		l.keys++
	} else if l.epoch != p.Epoch {
		l.t.Fatalf("a frame of session %d at %v, and the last keyframe was of %d", p.Epoch, p.DTS, l.epoch)
	}
	if p.Flags&packetbuf.Filler != 0 {
		return
	}
	if want := l.sizes[p.Epoch]; l.width != want {
		l.t.Fatalf("a frame %d wide at %v, the viewer was told %d", want, p.DTS, l.width)
	}
}

// TestLaggardsAreToldWhatTheyDecode breaks pushes and changes their resolution in a buffer of
// three seconds, while viewers read at any pace. Whatever a viewer misses, the configuration
// that it has had is that of each frame, and each frame has its keyframe.
func TestLaggardsAreToldWhatTheyDecode(t *testing.T) {
	for seed := range uint64(8) {
		story(t, func(c *Config) { c.Buffer.Duration, c.Lag = 3*time.Second, time.Duration(seed%3)*time.Second }, func(b *bench) {
			rng := rand.New(rand.NewPCG(seed, 1))
			sizes, viewers := map[uint32]int{}, []*laggard{}
			for n := range uint32(60) {
				sizes[n+1] = []int{640, 1280}[rng.IntN(2)]
				p := b.publish(gen.Options{
					Source: n, Width: sizes[n+1], Height: 360, GOP: 10 + rng.IntN(60), NoAudio: rng.IntN(4) == 0,
					BFrames: rng.IntN(3), Start: time.Duration(rng.Uint32()) * time.Millisecond,
				})
				p.run(100 * time.Millisecond)
				if len(viewers) < 6 {
					viewers = append(viewers, &laggard{t: b.t, r: b.attach(), sizes: sizes})
				}
				for range rng.IntN(4) {
					p.run(time.Duration(rng.IntN(2500)) * time.Millisecond)
					viewers[rng.IntN(len(viewers))].read()
				}
				p.sink.End(ingest.Reset, "")
				time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
			}
			for i, v := range viewers {
				if v.read(); v.keys < 3 {
					b.t.Errorf("viewer %d saw %d keyframes", i, v.keys)
				}
			}
		})
	}
}
