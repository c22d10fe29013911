package stream

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia"
)

// clipSlate is the clip as a slate; change may change its packets.
func clipSlate(t *testing.T, change func(*packetbuf.Packet)) *Slate {
	t.Helper()
	file := flv.Header(true, true)
	for _, p := range testmedia.Clip() {
		if change != nil {
			change(p)
		}
		file = append(file, flv.Tag(p)...)
	}
	s, err := ReadSlate("clip.flv", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSlateIsPlayedInALoop(t *testing.T) {
	for _, mute := range []bool{false, true} {
		slate := clipSlate(t, nil)
		if mute { // the stream's sound goes on in silence
			slate.configs[packetbuf.Audio] = nil
			slate.packets = slices.DeleteFunc(slate.packets, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Audio })
		}
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
				t.Errorf("%d splices, %d pictures and %d frames of sound of a slate", splices, filled[packetbuf.Video], filled[packetbuf.Audio])
			}
			if s := b.Snapshot(time.Now()); s.Epoch != 2 {
				t.Errorf("%d sessions", s.Epoch)
			}
		})
	}
}

// A clip may tell its configuration more than once, and more of its channels, and not another one.
func TestSlateTellsItsConfigurationAgain(t *testing.T) {
	channels := []byte("\x94mp4a\x01\x02\x00\x00\x00\x03") // Enhanced RTMP: two, left and right
	for name, config := range map[string]func(*packetbuf.Packet) []byte{
		"once more": flv.Tag,
		"with its channels": func(p *packetbuf.Packet) []byte {
			tag, _ := flv.AppendTag(nil, flv.TypeAudio, p.Millis(), channels)
			return tag
		},
		"another": func(p *packetbuf.Packet) []byte {
			return flv.Tag(&packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: p.Kind, Payload: []byte{0x11, 0x88}})
		},
	} {
		file := flv.Header(true, true)
		for _, p := range testmedia.Clip() {
			file = append(file, flv.Tag(p)...)
			if p.Track == packetbuf.Audio && p.Kind == packetbuf.Config {
				file = append(file, config(p)...)
			}
		}
		if _, err := ReadSlate("clip.flv", bytes.NewReader(file)); (err != nil) != (name == "another") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A slate of another size is not played: the last picture goes on, and it is said what would fit.
func TestSlateThatDoesNotFit(t *testing.T) {
	s := clipSlate(t, func(p *packetbuf.Packet) {
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
			t.Errorf("%d pictures", n)
		}
	})
}

func TestSlateFileIsBad(t *testing.T) {
	good := testmedia.ClipFLV()
	for name, file := range map[string][]byte{
		"empty": nil, "no FLV": []byte("a text that is longer than a header"), "cut": good[:len(good)/2+3], "header alone": good[:13],
		"too long": append(slices.Clone(good), make([]byte, slateMost)...),
	} {
		if _, err := ReadSlate("bad.flv", bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), "bad.flv") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
