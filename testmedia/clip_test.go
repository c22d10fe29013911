package testmedia

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

func TestClip(t *testing.T) {
	if n := len(ClipFLV()); n > 1<<20 {
		t.Errorf("clip of %d bytes", n)
	}
	var pictures, sounds, keys int
	seen := map[string]bool{}
	for _, p := range Clip() {
		if p.Kind == packetbuf.Config && p.Track != packetbuf.Data {
			i, err := codec.Describe(p)
			if err != nil {
				t.Fatal(err)
			}
			if p.Track == packetbuf.Video && (i.Width != 640 || i.Height != 360 || i.FrameRate != 25) {
				t.Errorf("%+v", i)
			}
			if n, rate := codec.AudioFrameDuration(p); p.Track == packetbuf.Audio && (n != 1024 || rate != 48000 || i.Channels != 2) {
				t.Errorf("%+v", i)
			}
		}
		if !p.Media() {
			continue
		}
		switch p.Track {
		case packetbuf.Video:
			if want := time.Duration(pictures) * 40 * time.Millisecond; p.DTS != want || p.CTO != 0 {
				t.Errorf("picture %d at %v + %v", pictures, p.DTS, p.CTO)
			}
			if key := p.Kind == packetbuf.Key; key != (pictures%25 == 0) {
				t.Errorf("picture %d is %s", pictures, p.Kind)
			} else if key {
				keys++
			}
			if seen[string(p.Payload)] {
				t.Errorf("picture %d has been there before", pictures)
			}
			seen[string(p.Payload)] = true
			pictures++
		case packetbuf.Audio:
			exact := time.Duration(sounds) * 1024 * time.Second / 48000
			if d := p.DTS - exact; d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("audio frame %d at %v, not %v", sounds, p.DTS, exact)
			}
			sounds++
		}
	}
	if pictures != ClipPictures || sounds != ClipSounds || keys != 8 {
		t.Errorf("%d pictures, %d keyframes, %d audio frames", pictures, keys, sounds)
	}
	if ClipPictures*40*time.Millisecond != ClipDuration || ClipSounds*1024*time.Second/48000 != ClipDuration {
		t.Error("the tracks do not fill the clip")
	}
}

func TestLoop(t *testing.T) {
	const rounds = 3
	start := 5 * time.Second
	l := NewLoop(start)
	last := [packetbuf.NumTracks]time.Duration{-1, -1, -1}
	var counts [packetbuf.NumTracks]int
	configs, newest := 0, time.Duration(0)
	for counts[packetbuf.Audio] < rounds*ClipSounds || counts[packetbuf.Video] < rounds*ClipPictures {
		p := l.Next()
		if !p.Media() {
			configs++
			continue
		}
		n := counts[p.Track]
		counts[p.Track]++
		want := start + time.Duration(n)*40*time.Millisecond
		if p.Track == packetbuf.Audio {
			want = start + time.Duration(n)*1024*time.Second/48000
		}
		if d := p.DTS - want; d < -time.Millisecond || d > time.Millisecond {
			t.Fatalf("%s %d at %v, not %v", p.Track, n, p.DTS, want)
		}
		if p.DTS <= last[p.Track] || p.DTS < newest-25*time.Millisecond {
			t.Fatalf("%s %d at %v after %v", p.Track, n, p.DTS, last[p.Track])
		}
		last[p.Track], newest = p.DTS, max(newest, p.DTS)
	}
	if configs != 3 {
		t.Errorf("%d configurations", configs)
	}
}
