package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSettings are the settings of the reference configuration.
type fakeSettings struct{ change func(*stream.Config) }

func (s fakeSettings) Stream(string) stream.Config {
	c := stream.Config{
		FirstMedia: 10 * time.Second, Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second, Freeze: true,
		Buffer: packetbuf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20}, Gather: stream.GatherAuto, Lag: 5 * time.Second,
	}
	if s.change != nil {
		s.change(&c)
	}
	return c
}

func (fakeSettings) PlayWait(_, _ string) time.Duration { return 0 }

// eventRecorder records events.
type eventRecorder struct {
	mu     sync.Mutex
	events []stream.Event
}

func (r *eventRecorder) Observe(e stream.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *eventRecorder) causes() map[ingest.Cause]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := map[ingest.Cause]int{}
	for _, e := range r.events {
		if e.Type == stream.Broke {
			m[e.Cause]++
		}
	}
	return m
}

func newHub(o *eventRecorder, s fakeSettings) *Hub {
	return New(Options{Settings: s, Observer: o, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler)})
}

// session is a publisher's connection that records its end.
type session struct {
	id     string
	closed chan struct{}
	once   sync.Once
	cause  ingest.Cause
}

func newSession(id string) *session { return &session{id: id, closed: make(chan struct{})} }

func (s *session) ID() string                          { return s.id }
func (s *session) RTT() (time.Duration, time.Duration) { return time.Millisecond, 0 }
func (s *session) Close(c ingest.Cause, _ string)      { s.once.Do(func() { s.cause = c; close(s.closed) }) }

// publisher is one publisher session: its sink and its source of frames.
type publisher struct {
	*session
	sink  ingest.Sink
	gen   *gen.Generator
	began time.Time
	start time.Duration
	next  *packetbuf.Packet
	fed   []gen.ID // frames that reached the relay while the session fed the stream
	// covered is until when the audio of a session that returned after silence may overlap
	// synthesized silence: its clock is kept, and the silence reaches up to the return.
	covered time.Time
}

func publish(t testing.TB, h *Hub, n int, o gen.Options) *publisher {
	t.Helper()
	p := &publisher{session: newSession(fmt.Sprintf("s%d", n)), began: time.Now(), start: o.Start}
	o.Source = uint32(n)
	p.gen = gen.New(o)
	sink, err := h.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Remote: "192.0.2.1:5000", Session: p.session})
	if err != nil {
		t.Fatalf("publish %d: %v", n, err)
	}
	p.sink = sink
	return p
}

// run publishes for d, in real time.
func (p *publisher) run(t testing.TB, h *Hub, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); ; {
		if p.next == nil {
			p.next = p.gen.Next()
		}
		due := p.began.Add(p.next.DTS - p.start)
		if due.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(time.Until(due))
		pkt := p.next
		p.next = nil
		pkt.Arrived = time.Now()
		var id gen.ID
		if pkt.Media() {
			var err error
			if id, err = gen.Identify(pkt); err != nil {
				t.Fatal(err)
			}
		}
		live := func() bool { return h.Find("live/cam").Snapshot(time.Now()).State == lifecycle.Live }
		before := live()
		if err := p.sink.Write(pkt); err != nil {
			t.Fatalf("write: %v", err)
		}
		if !before && live() && len(p.fed) > 0 {
			p.covered = time.Now().Add(100 * time.Millisecond)
		}
		if pkt.Media() && live() && (pkt.Track != packetbuf.Audio || time.Now().After(p.covered)) {
			p.fed = append(p.fed, id)
		}
	}
}

// viewer reads a stream to its end and checks what it receives.
type viewer struct {
	tally *gen.Tally
	done  chan struct{}
	err   error                              // first error
	end   error                              // how the stream ended
	steps [packetbuf.NumTracks]time.Duration // longest time between two packets
	last  [packetbuf.NumTracks]time.Duration
}

func watch(t testing.TB, h *Hub) *viewer {
	t.Helper()
	r, err := h.Attach(context.Background(), "live", "cam", "rtmp")
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	v := &viewer{tally: gen.NewTally(), done: make(chan struct{})}
	go func() {
		defer close(v.done)
		defer r.Close()
		for {
			packets, err := r.Read(context.Background())
			if err != nil {
				v.end = err
				return
			}
			for _, p := range packets {
				v.note(p)
			}
		}
	}()
	return v
}

func (v *viewer) note(p *packetbuf.Packet) {
	if err := v.tally.Add(p); err != nil && v.err == nil {
		v.err = err
	}
	if !p.Media() {
		return
	}
	if v.last[p.Track] > 0 {
		v.steps[p.Track] = max(v.steps[p.Track], p.DTS-v.last[p.Track])
	}
	v.last[p.Track] = p.DTS
}

// TestTwoHundredBreaks breaks a publisher in random ways and lets it return, while two viewers
// watch. No viewer is disconnected, no frame that reached the relay is lost or repeated, and
// nothing is left at the end.
func TestTwoHundredBreaks(t *testing.T) {
	var held weak.Pointer[packetbuf.Packet]
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 7))
		seen := &eventRecorder{}
		h := newHub(seen, fakeSettings{func(c *stream.Config) { c.Takeover = lifecycle.Always }})
		p := publish(t, h, 0, gen.Options{})
		p.run(t, h, 3*time.Second)
		viewers := []*viewer{watch(t, h), watch(t, h)}
		joined := p.fed[len(p.fed)-1]
		var fed []gen.ID
		for n := 1; n <= 200; n++ {
			p.run(t, h, time.Duration(500+rng.IntN(4000))*time.Millisecond)
			old := p
			p = breakPush(t, h, rng, p, n)
			if p != old {
				fed = append(fed, old.fed...)
			}
		}
		p.run(t, h, 3*time.Second)
		fed = append(fed, p.fed...)
		p.sink.End(ingest.Unpublish, "")
		held = lastPacket(h)
		for i, v := range viewers {
			<-v.done
			if v.err != nil {
				t.Errorf("viewer %d: %v", i, v.err)
			}
			for _, id := range fed {
				if after(id, joined) && !v.tally.Has(id) {
					t.Errorf("viewer %d: frame %v is missing", i, id)
				}
			}
			if v.steps[packetbuf.Audio] > 100*time.Millisecond {
				t.Errorf("viewer %d: got no audio for %v", i, v.steps[packetbuf.Audio])
			}
			if v.steps[packetbuf.Video] > 2500*time.Millisecond {
				t.Errorf("viewer %d: got no video for %v", i, v.steps[packetbuf.Video])
			}
		}
		for _, c := range []ingest.Cause{ingest.Reset, ingest.EOF, ingest.Silence, ingest.Takeover, ingest.Unpublish, ingest.Kick} {
			if seen.causes()[c] < 10 {
				t.Errorf("cause %s: got %d breaks", c, seen.causes()[c])
			}
		}
		if n := len(h.List()); n != 0 {
			t.Errorf("got %d streams, want 0", n)
		}
		h.Close("the test is over")
	})
	runtime.GC()
	runtime.GC()
	if held.Value() != nil {
		t.Error("buffer was not released")
	}
}

func after(id, joined gen.ID) bool {
	return id.Source > joined.Source || id.Track == joined.Track && id.Number > joined.Number
}

func lastPacket(h *Hub) weak.Pointer[packetbuf.Packet] {
	r, err := h.Attach(context.Background(), "live", "cam", "rtmp")
	if err != nil {
		return weak.Pointer[packetbuf.Packet]{}
	}
	defer r.Close()
	packets, err := r.Read(context.Background())
	if err != nil {
		return weak.Pointer[packetbuf.Packet]{}
	}
	return weak.Make(packets[len(packets)-1])
}

// breakPush breaks p in some way and returns the publisher that continues.
func breakPush(t testing.TB, h *Hub, rng *rand.Rand, p *publisher, n int) *publisher {
	away := time.Duration(rng.IntN(4000)) * time.Millisecond
	options := gen.Options{Start: time.Duration(rng.Uint32()) * time.Millisecond, Wrap: true, Seed: uint64(n)}
	switch rng.IntN(7) {
	case 0:
		p.sink.End(ingest.Reset, "connection reset by peer")
	case 1:
		p.sink.End(ingest.EOF, "")
	case 2:
		p.sink.End(ingest.Unpublish, "")
	case 3: // hangs with its socket open; the new push takes over
		away += 2 * time.Second
	case 4: // a takeover while the publisher is healthy
		away = 0
	case 5:
		h.Find("live/cam").Kick("by the test")
		<-p.closed
	case 6: // stalled and resumed on the same socket: the backlog arrives in a burst
		time.Sleep(2*time.Second + away)
		return p
	}
	time.Sleep(away)
	return publish(t, h, n, options)
}

func TestEndsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(&eventRecorder{}, fakeSettings{})
		defer h.Close("the test is over")
		if _, err := h.Attach(t.Context(), "live", "cam", "rtmp"); !isNotLive(err) {
			t.Errorf("before a publisher: got error %v", err)
		}
		p := publish(t, h, 1, gen.Options{})
		if _, err := h.Attach(t.Context(), "live", "cam", "rtmp"); !isNotLive(err) {
			t.Errorf("before the first keyframe: got error %v", err)
		}
		p.run(t, h, time.Second)
		v := watch(t, h)
		p.sink.End(ingest.Reset, "")
		begun := time.Now()
		<-v.done
		var end *stream.EndError
		if !errors.As(v.end, &end) || end.Again {
			t.Errorf("got viewer's end %v", v.end)
		}
		if held := time.Since(begun); held != 30*time.Second {
			t.Errorf("got a hold of %v", held)
		}
	})
}

func isNotLive(err error) bool {
	var r *ingest.Refusal
	return errors.As(err, &r) && r.NotLive
}
