package gen

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

var shapes = map[string]Options{
	"defaults":         {},
	"B-frames":         {BFrames: 2, Seed: 1},
	"one GOP of 1":     {GOP: 1},
	"odd GOP":          {GOP: 7, BFrames: 3, FPS: 29.97},
	"screen sharing":   {FPS: 5, VideoBitrate: 200_000},
	"variable rate":    {Interval: func(n int) time.Duration { return time.Duration(20+n%5*15) * time.Millisecond }, BFrames: 1},
	"44.1 kHz":         {SampleRate: 44100, Channels: 1},
	"MP3":              {AudioCodec: packetbuf.MP3, SampleRate: 44100},
	"MP3 at 22 kHz":    {AudioCodec: packetbuf.MP3, SampleRate: 22050, Channels: 1},
	"Opus":             {AudioCodec: packetbuf.Opus},
	"audio only":       {NoVideo: true},
	"video only":       {NoAudio: true, NoMetadata: true},
	"1080p":            {Width: 1920, Height: 1080, FPS: 60, VideoBitrate: 6_000_000},
	"tiny":             {Width: 64, Height: 34, VideoBitrate: 1, AudioBitrate: 1},
	"late start":       {Start: 1<<32*time.Millisecond - 2*time.Second},
	"second session":   {Source: 0xfffffffe, Start: 17 * time.Millisecond},
	"three per second": {FPS: 3, GOP: 2},
}

func TestStreams(t *testing.T) {
	const length = 10 * time.Second
	for name, o := range shapes {
		t.Run(name, func(t *testing.T) {
			tally := NewTally()
			var counts [packetbuf.NumTracks]int
			var shown []time.Duration
			full := o.withDefaults()
			newest := time.Duration(-1)
			for _, p := range New(o).Until(length) {
				checkFLVRoundTrip(t, p, o.NoVideo)
				if !p.Media() {
					continue
				}
				if err := tally.Add(p); err != nil {
					t.Fatal(err)
				}
				if p.DTS < newest {
					t.Fatalf("got a %s frame at %v after %v, want increasing DTS", p.Track, p.DTS, newest)
				}
				newest = p.DTS
				id, err := Identify(p)
				if err != nil || id != (ID{p.Track, o.Source, uint64(counts[p.Track])}) {
					t.Fatalf("got ID %+v and %v, want the next number", id, err)
				}
				if p.Track == packetbuf.Video {
					shown = append(shown, p.PTS())
					if p.CTO < 0 || (p.Kind == packetbuf.Key) != (counts[p.Track]%full.GOP == 0) {
						t.Fatalf("frame %d: got kind %s and offset %v", counts[p.Track], p.Kind, p.CTO)
					}
				}
				counts[p.Track]++
			}
			if (counts[packetbuf.Video] == 0) != o.NoVideo || (counts[packetbuf.Audio] == 0) != o.NoAudio {
				t.Errorf("got %v frames by track", counts)
			}
			for track := range packetbuf.NumTracks {
				if lost := tally.Lost(packetbuf.Track(track), o.Source); lost != nil {
					t.Errorf("track %d: got frames %v lost, want none", track, lost)
				}
			}
			checkPTS(t, shown, full.BFrames)
		})
	}
}

// checkFLVRoundTrip encodes and decodes a packet as FLV and compares the result.
func checkFLVRoundTrip(t *testing.T, p *packetbuf.Packet, audioOnly bool) {
	t.Helper()
	body, err := flv.AppendBody(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := flv.Decode(p.Track, body)
	if err != nil {
		t.Fatal(err)
	}
	kind := p.Kind
	if audioOnly && kind == packetbuf.Key {
		kind = packetbuf.Delta
	}
	if got.Codec != p.Codec || got.Kind != kind || got.CTO != p.CTO || !bytes.Equal(got.Payload, p.Payload) {
		t.Fatalf("got  %+v\nwant %+v", got, p)
	}
}

// checkPTS checks that no two frames have the same PTS.
func checkPTS(t *testing.T, shown []time.Duration, bframes int) {
	t.Helper()
	seen := map[time.Duration]bool{}
	for n, pts := range shown {
		if seen[pts] {
			t.Errorf("got two frames with PTS %v", pts)
		}
		seen[pts] = true
		if n > 0 && bframes == 0 && pts <= shown[n-1] {
			t.Errorf("frame %d: got PTS %v, want it after the frame before", n, pts)
		}
	}
}

func TestConfigIsValid(t *testing.T) {
	for _, p := range New(Options{Width: 1918, Height: 1078, FPS: 29.97, BFrames: 1}).Until(0) {
		if p.Track == packetbuf.Data {
			continue
		}
		i, err := codec.Describe(p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Track == packetbuf.Video && (i.Width != 1918 || i.Height != 1078 || i.FrameRate != 29.97) {
			t.Errorf("got video %+v, want 1918x1078 at 29.97 fps", i)
		}
		if _, ok := codec.Silence(p); p.Track == packetbuf.Audio && !ok {
			t.Errorf("got no silence for %+v", i)
		}
	}
}

func TestSameSeedGivesSameStream(t *testing.T) {
	a, b := New(Options{Seed: 7}), New(Options{Seed: 7})
	other := New(Options{Seed: 8})
	differ := false
	for range 500 {
		p, q, r := a.Next(), b.Next(), other.Next()
		if !bytes.Equal(p.Payload, q.Payload) || p.DTS != q.DTS {
			t.Fatal("got different streams for one seed")
		}
		differ = differ || !bytes.Equal(p.Payload, r.Payload)
	}
	if !differ {
		t.Error("got equal streams for two seeds")
	}
}

func TestBitrate(t *testing.T) {
	for name, o := range shapes {
		o = o.withDefaults()
		if o.NoVideo || o.VideoBitrate < 1000 || o.Interval != nil || o.GOP < 4 {
			continue
		}
		var bytes int
		for _, p := range New(o).Until(40 * time.Second) {
			if p.Track == packetbuf.Video {
				bytes += len(p.Payload)
			}
		}
		if got := float64(bytes) * 8 / 40; got < 0.9*float64(o.VideoBitrate) || got > 1.1*float64(o.VideoBitrate) {
			t.Errorf("%s: got %.0f bit/s, want %d", name, got, o.VideoBitrate)
		}
	}
}

func TestWrap(t *testing.T) {
	g := New(Options{Start: 1<<32*time.Millisecond - 100*time.Millisecond, Wrap: true, NoAudio: true})
	wrapped := false
	for range 10 {
		p := g.Next()
		wrapped = wrapped || p.DTS < time.Second
		if p.DTS >= 1<<32*time.Millisecond {
			t.Errorf("got DTS %v, want less than 1<<32 ms", p.DTS)
		}
	}
	if !wrapped {
		t.Error("got no wrapped timestamp")
	}
}

func TestDamageIsDetected(t *testing.T) {
	g := New(Options{NoMetadata: true})
	tally := NewTally()
	for _, p := range g.Until(time.Second) {
		if !p.Media() {
			continue
		}
		if err := tally.Add(p); err != nil {
			t.Fatal(err)
		}
		again := &packetbuf.Packet{Track: p.Track, Kind: p.Kind, DTS: p.DTS + time.Hour, Payload: p.Payload}
		twin := NewTally()
		if err := errors.Join(twin.Add(p), twin.Add(again)); err == nil {
			t.Fatal("got nil for a repeated frame, want an error")
		}
		damaged := bytes.Clone(p.Payload)
		damaged[len(damaged)/2] ^= 4
		for _, payload := range [][]byte{damaged, p.Payload[:len(p.Payload)-1], p.Payload[:9]} {
			if _, err := Identify(&packetbuf.Packet{Track: p.Track, Payload: payload}); !errors.Is(err, ErrDamaged) {
				t.Fatalf("got %v for a damaged frame, want ErrDamaged", err)
			}
		}
	}
	late := &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Key}
	if tally.Add(late) == nil {
		t.Error("got nil for a DTS that decreases, want an error")
	}
}
