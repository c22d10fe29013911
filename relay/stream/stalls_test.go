package stream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// stall is one silence of a publisher whose connection stays.
type stall struct {
	length time.Duration
	// stands has the publisher's clock stand too: nothing queues up.
	stands bool
	// speed is how many times faster than real time the backlog arrives; 0: at once.
	speed float64
}

// through pushes a publisher through a stall and then for rest: what it made meanwhile
// arrives behind it.
func (p *push) through(st stall, rest time.Duration) (back time.Time) {
	p.b.t.Helper()
	from := time.Now()
	time.Sleep(st.length)
	back = time.Now()
	if st.stands {
		p.began = p.began.Add(st.length)
		p.run(rest)
		return back
	}
	if st.speed > 0 {
		for {
			if p.next == nil {
				p.next = p.gen.Next()
			}
			made := p.began.Add(p.next.DTS - p.start)
			at := back.Add(time.Duration(float64(made.Sub(from)) / st.speed))
			if !at.After(made) {
				break
			}
			time.Sleep(time.Until(at))
			p.next.Arrived = time.Now()
			if err := p.sink.Write(p.next); err != nil {
				p.b.t.Fatalf("write: %v", err)
			}
			p.next = nil
		}
	}
	p.run(max(0, time.Until(back.Add(rest))))
	return back
}

// watcher checks what a viewer gets: nothing goes back, nothing comes twice, and media never
// stands still.
type watcher struct {
	t       *testing.T
	last    [packetbuf.NumTracks]time.Duration
	arrived time.Time
	longest time.Duration            // that nothing came
	frames  map[uint64]time.Duration // publisher's video frames, by number, and where they stand

	mu sync.Mutex // guards all but t
}

// watch attaches a viewer that reads until the stream ends.
func (b *bench) watch() *watcher {
	b.t.Helper()
	r, err := b.Attach("httpflv")
	if err != nil {
		b.t.Fatal(err)
	}
	w := &watcher{t: b.t, frames: map[uint64]time.Duration{}, arrived: time.Now()}
	go func() {
		defer r.Close()
		for {
			packets, err := r.Read(context.Background())
			if err != nil {
				return
			}
			for _, p := range packets {
				w.take(p)
			}
		}
	}()
	return w
}

// standstill returns the longest time without media since it was last asked.
func (w *watcher) standstill() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	longest := w.longest
	w.longest = 0
	return longest
}

func (w *watcher) take(p *packetbuf.Packet) {
	if !p.Media() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.longest = max(w.longest, now.Sub(w.arrived))
	w.arrived = now
	if last := w.last[p.Track]; last != 0 && p.DTS <= last {
		w.t.Errorf("%v went from %v to %v", p.Track, last, p.DTS)
	}
	w.last[p.Track] = p.DTS
	if p.Track != packetbuf.Video {
		return
	}
	if p.Flags&packetbuf.Filler != 0 {
		return
	}
	if id, err := gen.Identify(p); err == nil {
		if _, twice := w.frames[uint64(id.Source)<<32|id.Number]; twice {
			w.t.Errorf("frame %d came twice", id.Number)
		}
		w.frames[uint64(id.Source)<<32|id.Number] = p.DTS
	}
}

// Whatever a publisher's stalls are like, viewers' media never stands still for more than the
// promise, they are as late afterwards as before, and no frame is missing once the publisher
// has sent a keyframe after the stall.
func TestStallsOnOneConnection(t *testing.T) {
	kinds := map[string]func(r *rand.Rand) stall{
		"clock runs on":       func(*rand.Rand) stall { return stall{} },
		"clock stands":        func(*rand.Rand) stall { return stall{stands: true} },
		"drains at 4 times":   func(*rand.Rand) stall { return stall{speed: 4} },
		"drains at 1.5 times": func(*rand.Rand) stall { return stall{speed: 1.5} },
		"all kinds": func(r *rand.Rand) stall {
			return []stall{{}, {stands: true}, {speed: 1.5 + 4*r.Float64()}}[r.IntN(3)]
		},
	}
	pushes := map[string]gen.Options{
		"video and audio": {}, "B-frames": {BFrames: 2}, "60 fps, long GOP": {FPS: 60, GOP: 300}, "video alone": {NoAudio: true}, "audio alone": {NoVideo: true},
	}
	stalls, seed := 4, uint64(1)
	if os.Getenv("HOLDFAST_SWEEP") != "" {
		stalls, seed = 200, uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
	}
	for name, kind := range kinds {
		for what, options := range pushes {
			if what != "video and audio" && name != "all kinds" && stalls < 200 {
				continue
			}
			t.Run(fmt.Sprintf("%s, %s", name, what), func(t *testing.T) {
				story(t, nil, func(b *bench) {
					r := rand.New(rand.NewPCG(seed, uint64(len(name)+len(what))))
					p := b.publish(options)
					p.run(12 * time.Second)
					w := b.watch()
					p.run(3 * time.Second)
					before := b.lag()
					for range stalls {
						st := kind(r)
						st.length = 300*time.Millisecond + time.Duration(r.Int64N(int64(11700*time.Millisecond)))
						if st.stands {
							// In a stall without a verdict viewers wait as long as the publisher's
							// clock stands, and are no later.
							st.length += 1200 * time.Millisecond
						}
						w.standstill()
						rest := 7 * time.Second // a keyframe comes every 5 s at the least
						if st.speed > 0 {
							rest = 45 * time.Second // the backlog drains slowly
						}
						p.through(st, rest)
						if b.state() != lifecycle.Live {
							t.Fatalf("after a stall of %v: got %v, want live", st.length, b.state())
						}
						if got := w.standstill(); got > 1500*time.Millisecond {
							t.Errorf("stall of %v: media stood still for %v, want at most 1.5s", st.length, got)
						}
						if got := b.lag() - before; got.Abs() > 300*time.Millisecond {
							t.Errorf("stall %+v: viewers are %v later afterwards, want within 300ms", st, got)
						}
					}
					if options.NoVideo {
						return
					}
					p.run(20 * time.Second)
					p.complete(t, w, 15*time.Second)
				})
			})
		}
	}
}

// lag returns how far the newest media is behind the wall clock since the stream began.
func (b *bench) lag() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.born) - b.newest()
}

// complete checks that the frames of the last d came, each once.
func (p *push) complete(t *testing.T, w *watcher, d time.Duration) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	last := uint64(0)
	for n := range w.frames {
		last = max(last, n)
	}
	for n := last; n > last-uint64(d.Seconds()*25); n-- {
		if _, ok := w.frames[n]; !ok {
			t.Fatalf("frame %d of %d did not come", n, last)
		}
	}
}

// Timestamps that had to be corrected are counted once each and told with the publisher.
func TestCorrectedTimestampsAreReported(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		frames := 0
		p.skip = func(q *packetbuf.Packet) bool {
			if q.Track == packetbuf.Video && q.Media() {
				if frames++; frames%50 == 0 {
					q.DTS += 2500 * time.Millisecond
				}
			}
			return false
		}
		p.run(20 * time.Second)
		if got := b.lag(); got.Abs() > 100*time.Millisecond {
			t.Errorf("the stream's clock is %v off, want at most 100ms", got)
		}
		var got uint64
		for _, r := range b.Snapshot(time.Now()).Publisher.Repairs {
			if r.Reason == packetbuf.Timestamp && r.Track == packetbuf.Video {
				got += r.Count
			}
		}
		if want := uint64(frames / 50); got != want {
			t.Errorf("got %d repaired timestamps, want %d", got, want)
		}
	})
}

// What a returning publisher sends at once is bounded by the stream's buffer.
func TestBacklogIsBounded(t *testing.T) {
	story(t, func(c *Config) { c.Buffer.Bytes = 256 << 10 }, func(b *bench) {
		p := b.publish(gen.Options{GOP: 300}) // 3 MB a group
		p.run(10 * time.Second)
		time.Sleep(20 * time.Second)
		p.run(50 * time.Millisecond)
		b.mu.Lock()
		kept := b.standby.returning.Bytes()
		b.mu.Unlock()
		if kept > 256<<10 {
			t.Errorf("%d bytes of the backlog are kept, want at most the buffer's %d", kept, 256<<10)
		}
		p.run(20 * time.Second)
		if got := b.state(); got != lifecycle.Live {
			t.Errorf("got %v two keyframes later, want live", got)
		}
	})
}
