package testmedia

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

func TestClip(t *testing.T) {
	if n := len(ClipFLV()); n > 1<<20 {
		t.Errorf("got a clip of %d bytes, want at most 1 MiB", n)
	}
	var frames, audioFrames, keys int
	seen := map[string]bool{}
	for _, p := range Clip() {
		if p.Kind == packetbuf.Config && p.Track != packetbuf.Data {
			i, err := codec.Describe(p)
			if err != nil {
				t.Fatal(err)
			}
			if p.Track == packetbuf.Video && (i.Width != 640 || i.Height != 360 || i.FrameRate != 25) {
				t.Errorf("got video %+v, want 640x360 at 25 fps", i)
			}
			if n, rate := codec.AudioFrameDuration(p); p.Track == packetbuf.Audio && (n != 1024 || rate != 48000 || i.Channels != 2) {
				t.Errorf("got audio %+v, want 48 kHz stereo with 1024 samples a frame", i)
			}
		}
		if !p.Media() {
			continue
		}
		switch p.Track {
		case packetbuf.Video:
			if want := time.Duration(frames) * 40 * time.Millisecond; p.DTS != want || p.CTO != 0 {
				t.Errorf("got frame %d at %v + %v, want 40 ms a frame and no offset", frames, p.DTS, p.CTO)
			}
			if key := p.Kind == packetbuf.Key; key != (frames%25 == 0) {
				t.Errorf("got frame %d of kind %s, want a keyframe every 25 frames", frames, p.Kind)
			} else if key {
				keys++
			}
			if seen[string(p.Payload)] {
				t.Errorf("got frame %d equal to an earlier one", frames)
			}
			seen[string(p.Payload)] = true
			frames++
		case packetbuf.Audio:
			exact := time.Duration(audioFrames) * 1024 * time.Second / 48000
			if d := p.DTS - exact; d < -time.Millisecond || d > time.Millisecond {
				t.Errorf("got audio frame %d at %v, want %v", audioFrames, p.DTS, exact)
			}
			audioFrames++
		}
	}
	if frames != ClipFrames || audioFrames != ClipAudioFrames || keys != 8 {
		t.Errorf("got %d video frames, %d keyframes and %d audio frames", frames, keys, audioFrames)
	}
	if ClipFrames*40*time.Millisecond != ClipDuration || ClipAudioFrames*1024*time.Second/48000 != ClipDuration {
		t.Error("got tracks that do not fill the clip")
	}
}

func TestLoop(t *testing.T) {
	const rounds = 3
	start := 5 * time.Second
	l := NewLoop(start)
	last := [packetbuf.NumTracks]time.Duration{-1, -1, -1}
	var counts [packetbuf.NumTracks]int
	configs, newest := 0, time.Duration(0)
	for counts[packetbuf.Audio] < rounds*ClipAudioFrames || counts[packetbuf.Video] < rounds*ClipFrames {
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
			t.Fatalf("got %s frame %d at %v, want %v", p.Track, n, p.DTS, want)
		}
		if p.DTS <= last[p.Track] || p.DTS < newest-25*time.Millisecond {
			t.Fatalf("got %s frame %d at %v after %v, want it later", p.Track, n, p.DTS, last[p.Track])
		}
		last[p.Track], newest = p.DTS, max(newest, p.DTS)
	}
	if configs != 3 {
		t.Errorf("got %d configurations, want 3", configs)
	}
}
