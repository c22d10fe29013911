package rendition

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// check compares a rendition with its source: every video and audio frame has its time, and
// keyframes are where they were.
func (l *lab) check(wantPictures int) {
	l.t.Helper()
	packets, _ := l.got()
	l.source.mu.Lock()
	defer l.source.mu.Unlock()
	pictures, sounds := 0, 0
	for _, p := range packets {
		switch {
		case !p.Media():
		case p.Track == packetbuf.Video:
			pictures++
			key, ok := l.source.packets[p.DTS]
			if !ok || p.CTO != 0 || key != (p.Kind == packetbuf.Key) {
				l.t.Errorf("got a %v frame at %v and %v, want one of the stream: %v, key: %v", p.Kind, p.DTS, p.CTO, ok, key)
			}
		case !l.source.sounds[p.DTS]:
			l.t.Errorf("got an audio frame at %v, want none", p.DTS)
		default:
			sounds++
		}
	}
	if pictures < wantPictures || sounds < wantPictures {
		l.t.Errorf("got %d video and %d audio frames", pictures, sounds)
	}
	l.t.Logf("%d video frames, %d audio frames", pictures, sounds)
}

func TestTimestampsSurvive(t *testing.T) {
	needFFmpeg(t)
	for name, start := range map[string]time.Duration{
		"at the beginning":   0,
		"hours in":           5*time.Hour + 17*time.Millisecond,
		"before 32 bits end": 1<<32*time.Millisecond - 2*time.Second,
		"half way there":     1<<31*time.Millisecond - 2*time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "")
			l.source.start = start
			began := time.Now()
			l.want()
			l.until("it is made", func() bool { return l.Makes(full) })
			took := time.Since(began)
			l.until("there are five seconds of it", func() bool { p, _ := l.got(); return len(p) > 340 })
			l.Close()
			l.check(110)
			t.Logf("it began after %v", took)
			if took > 3*time.Second {
				t.Errorf("it began after %v", took)
			}
		})
	}
}

// Publishers' clocks are uneven: timestamps are whole milliseconds at uneven distances.
func TestUnevenTimestampsSurvive(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	l := newLab(t, "")
	rng := rand.New(rand.NewPCG(1, 2))
	last := [packetbuf.NumTracks]time.Duration{}
	l.source.jitter = func(p *packetbuf.Packet) {
		if !p.Media() {
			return
		}
		p.DTS += time.Duration(rng.IntN(16)) * time.Millisecond
		p.DTS = max(p.DTS, last[p.Track]+time.Millisecond)
		last[p.Track] = p.DTS
	}
	l.want()
	l.until("there are five seconds of it", func() bool { p, _ := l.got(); return len(p) > 340 })
	l.Close()
	l.check(110)
}

func TestRenditionIsSmaller(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	for height, want := range map[int]int{180: 180, 101: 100, 1080: 360} {
		l := newLab(t, "")
		l.configured = []Rendition{{Name: "180p", Height: height, Bits: 150_000}}
		l.want()
		l.until("there are three seconds of it", func() bool { p, _ := l.got(); return len(p) > 200 })
		l.Close()
		packets, ends := l.got()
		bytes := 0
		for _, p := range packets {
			if p.Track != packetbuf.Video {
				continue
			}
			bytes += len(p.Payload)
			if p.Kind != packetbuf.Config {
				continue
			}
			info, err := codec.Describe(p)
			if err != nil || info.Height != want || info.Width%2 != 0 || info.Width < want*16/9-1 || info.Width > want*16/9+2 {
				t.Errorf("height %d: got %dx%d, %v", height, info.Width, info.Height, err)
			}
		}
		if len(ends) != 1 || ends[0] != ingest.Shutdown {
			t.Errorf("ended by %v", ends)
		}
		t.Logf("height %d: %d bit/s", height, bytes*8/3)
	}
}

// The rendition ends with the stream, but not at a change of codec.
func TestEndOfTheStream(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	l := newLab(t, "")
	hopeless := l.want()
	l.until("it is made", func() bool { return l.Makes(full) })
	l.source.end(errors.New("changed"), false)
	l.until("it is made anew", func() bool { _, ends := l.got(); return len(ends) == 1 && l.Makes(full) })
	l.source.end(errors.New("over"), true)
	l.until("it is over", func() bool { return isClosed(hopeless) })
	_, ends := l.got()
	if len(ends) != 2 || ends[0] != ingest.EOF || ends[1] != ingest.Unpublish || l.Makes(full) {
		t.Errorf("ended by %v", ends)
	}
	if _, ok := l.Want(full); ok {
		t.Error("it is to be had of a stream that is over")
	}
}

// When a stream's audio stops, its video continues.
func TestOneTrackStops(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	l := newLab(t, "")
	far := time.Duration(0)
	l.source.jitter = func(p *packetbuf.Packet) {
		if p.Track == packetbuf.Audio && p.Media() && p.DTS > l.source.start+time.Second {
			p.Track, p.Codec = packetbuf.Data, packetbuf.AMF0 // stays out
			return
		}
		far = max(far, p.DTS)
	}
	l.want()
	l.until("pictures come without sound", func() bool {
		packets, _ := l.got()
		if len(packets) == 0 {
			return false
		}
		last := packets[len(packets)-1]
		return last.Track == packetbuf.Video && last.DTS > l.source.start+5*time.Second
	})
	if strings := l.said(); len(strings) > 2000 {
		t.Error(strings)
	}
	l.source.mu.Lock()
	defer l.source.mu.Unlock()
	packets, _ := l.got()
	if behind := far - packets[len(packets)-1].DTS; behind > 2*time.Second {
		t.Errorf("what is made is %v behind", behind)
	}
}

// expecting is a tap of a stream that has audio.
type expecting struct{ Tap }

func (expecting) Has(packetbuf.Track) bool { return true }

// Bridged audio arrives a little later than video: the child waits for it, but not forever.
func TestSoundThatComesLater(t *testing.T) {
	t.Parallel()
	needFFmpeg(t)
	for name, never := range map[string]bool{"later": false, "never": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "")
			l.o.Tap = func(stream string) (Tap, error) {
				tap, err := l.source.tap(stream)
				return expecting{tap}, err
			}
			var config *packetbuf.Packet
			l.source.jitter = func(p *packetbuf.Packet) {
				switch {
				case p.Track != packetbuf.Audio:
				case p.Kind == packetbuf.Config:
					config, p.Track, p.Codec = p, packetbuf.Data, packetbuf.AMF0
				case never || p.DTS < l.source.start+300*time.Millisecond:
					p.Track, p.Codec = packetbuf.Data, packetbuf.AMF0
				case config != nil:
					p.Kind, p.Payload = packetbuf.Config, config.Payload
					config = nil
				}
			}
			l.want()
			l.until("there are three seconds of it", func() bool { p, _ := l.got(); return len(p) > 80 })
			l.Close()
			packets, _ := l.got()
			sounds := 0
			for _, p := range packets {
				if p.Track == packetbuf.Audio && p.Media() {
					sounds++
				}
			}
			if len(l.target.sessions) != 1 || (sounds == 0) != never {
				t.Errorf("got %d children, %d audio frames", len(l.target.sessions), sounds)
			}
		})
	}
}
