package stream

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
	"github.com/holdfast-live/holdfast/testmedia"
)

// clipSlate returns the clip as a slate. change may change its packets, and leaves out those for
// which it returns false.
func clipSlate(t *testing.T, change func(*packetbuf.Packet) bool) *filler.Slate {
	t.Helper()
	file := flv.Header(true, true)
	for _, p := range testmedia.Clip() {
		if change == nil || change(p) {
			file = append(file, flv.Tag(p)...)
		}
	}
	s, err := filler.ReadSlate("clip.flv", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSlateIsPlayedInALoop(t *testing.T) {
	for _, mute := range []bool{false, true} {
		// Without audio in the slate, the stream's audio goes on in silence.
		slate := clipSlate(t, func(p *packetbuf.Packet) bool { return !mute || p.Track != packetbuf.Audio })
		story(t, func(c *Config) { c.Slate, c.Lag, c.Buffer.Duration = slate, 0, time.Minute }, func(b *bench) {
			p := b.publishClip()
			p.until(t, 3500*time.Millisecond)
			r := b.attach()
			p.sink.End(ingest.Reset, "")
			time.Sleep(20 * time.Second)
			p = b.publishClip()
			p.until(t, 3*time.Second)
			packets, err := drain(t, r)
			if err != nil {
				t.Fatal(err)
			}
			var last [packetbuf.NumTracks]*packetbuf.Packet
			filled := [packetbuf.NumTracks]int{}
			splices := 0
			for _, p := range packets {
				if !p.Media() {
					continue
				}
				if was := last[p.Track]; was != nil {
					if step := p.DTS - was.DTS; step <= 0 || step > 90*time.Millisecond {
						t.Errorf("%s steps by %v at %v", p.Track, step, p.DTS)
					}
				}
				last[p.Track] = p
				if isFiller(p) {
					filled[p.Track]++
				}
				if p.Flags&packetbuf.Splice != 0 {
					if splices++; p.Kind != packetbuf.Key {
						t.Error("a splice that is no keyframe")
					}
				}
			}
			if splices != 2 || filled[packetbuf.Video] < 480 || filled[packetbuf.Audio] < 900 {
				t.Errorf("%d splices, %d frames and %d frames of audio of a slate", splices, filled[packetbuf.Video], filled[packetbuf.Audio])
			}
			if s := b.Snapshot(time.Now()); s.Epoch != 2 {
				t.Errorf("%d sessions", s.Epoch)
			}
		})
	}
}

// A slate of another size is not played: the last frame goes on, and it is said what would fit.
func TestSlateThatDoesNotFit(t *testing.T) {
	s := clipSlate(t, func(p *packetbuf.Packet) bool {
		if p.Kind == packetbuf.Config && p.Track == packetbuf.Video {
			sps := codec.SPS{
				Profile: 100, Level: 31, ChromaFormat: 1, BitDepthLuma: 8, BitDepthChroma: 8, Log2MaxFrameNum: 4, POCType: 2, MaxRefFrames: 1,
				WidthMBs: 80, HeightMapUnits: 45, FrameMBsOnly: true, Width: 1280, Height: 720, NumReorder: -1,
			}
			c, err := codec.ParseAVCConfig(p.Payload)
			if err != nil {
				t.Fatal(err)
			}
			c.SPS = [][]byte{sps.NAL()}
			p.Payload = c.Append(nil)
		}
		return true
	})
	story(t, func(c *Config) { c.Slate = s }, func(b *bench) {
		p := b.publishClip()
		p.until(t, 3500*time.Millisecond)
		err := s.Fits(b.sent)
		if err == nil || !strings.Contains(err.Error(), "width 640 instead of 1280") || !strings.Contains(err.Error(), "clip.flv") {
			t.Errorf("%v", err)
		}
		r := b.attach()
		p.sink.End(ingest.Reset, "")
		time.Sleep(3 * time.Second)
		packets, _ := drain(t, r)
		if n := count(packets, func(p *packetbuf.Packet) bool { return isFiller(p) && p.Track == packetbuf.Video }); n < 10 || n > 20 {
			t.Errorf("%d frames", n)
		}
	})
}
