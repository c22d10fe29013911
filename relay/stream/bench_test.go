package stream

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a stream, what it told, and its counters.
type bench struct {
	*Stream
	t        *testing.T
	born     time.Time // when the test began
	counters Counters
	load     Load
	observe  func(Event) // nil, or set before anybody publishes

	telling sync.Mutex // guards what follows
	events  []Event
	asks    []packetbuf.Codec // for bridges
}

// told is what the stream has told so far.
func (b *bench) told() []Event {
	synctest.Wait() // it may be about to
	b.telling.Lock()
	defer b.telling.Unlock()
	return slices.Clone(b.events)
}

func (b *bench) Observe(e Event) {
	b.telling.Lock()
	b.events = append(b.events, e)
	b.telling.Unlock()
	if b.observe != nil {
		b.observe(e)
	}
}

func (b *bench) asked(name string, to packetbuf.Codec) {
	b.telling.Lock()
	defer b.telling.Unlock()
	if name != "live/cam" {
		b.t.Errorf("asked for a bridge of %q", name)
	}
	b.asks = append(b.asks, to)
}

// asksSoFar are the bridges that were asked for since the last call.
func (b *bench) asksSoFar() []packetbuf.Codec {
	synctest.Wait()
	b.telling.Lock()
	defer b.telling.Unlock()
	asks := b.asks
	b.asks = nil
	return asks
}

func newBench(t *testing.T, change func(*Config)) *bench {
	cfg := Config{
		FirstMedia: 10 * time.Second, Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second, Freeze: true,
		Buffer: packetbuf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20}, Gather: GatherAuto, Lag: 5 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	b := &bench{t: t, born: time.Now()}
	b.Stream = New("live/cam", Options{Config: cfg, Observer: b, Counters: &b.counters, Load: &b.load, Log: slog.New(slog.DiscardHandler), Bridge: b.asked})
	return b
}

// story runs f with a stream of its own in a bubble.
func story(t *testing.T, change func(*Config), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, change)
		defer b.Close(ingest.Kick, "the test is over") // also when f fails
		f(b)
	})
}

type session struct {
	closed ingest.Cause
	unread atomic.Bool
}

func (*session) ID() string                           { return "s" }
func (*session) RTT() (time.Duration, time.Duration)  { return 0, 0 }
func (s *session) Close(cause ingest.Cause, _ string) { s.closed = cause }
func (s *session) Unread() bool                       { return s.unread.Load() }

// push is one publisher.
type push struct {
	b     *bench
	sess  *session
	sink  ingest.Sink
	gen   *gen.Generator
	next  *packetbuf.Packet
	began time.Time
	start time.Duration // where the generator's time began
	skip  func(*packetbuf.Packet) bool
}

func (b *bench) publish(o gen.Options) *push {
	b.t.Helper()
	s := &session{}
	sink, err := b.Publish(b.t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: s})
	if err != nil {
		b.t.Fatal(err)
	}
	return &push{b: b, sess: s, sink: sink, gen: gen.New(o), began: time.Now(), start: o.Start}
}

// run pushes for d of the generator's time, as fast as that passes.
func (p *push) run(d time.Duration) {
	p.b.t.Helper()
	for end := time.Now().Add(d); ; p.next = nil {
		if p.next == nil {
			p.next = p.gen.Next()
		}
		if due := p.began.Add(p.next.DTS - p.start); due.After(end) {
			time.Sleep(time.Until(end))
			return
		} else {
			time.Sleep(time.Until(due))
		}
		p.next.Arrived = time.Now()
		if p.skip != nil && p.skip(p.next) {
			continue
		}
		if err := p.sink.Write(p.next); err != nil {
			p.b.t.Fatalf("write: %v", err)
		}
	}
}

// drain reads what is there without waiting for more.
func drain(t *testing.T, r *Reader) (packets []*packetbuf.Packet, err error) {
	t.Helper()
	for {
		r.woken = nil
		got, err := r.Read(context.Background())
		if err != nil || len(got) == 0 && r.woken != nil {
			return packets, err
		}
		packets = append(packets, slices.Clone(got)...)
	}
}

func (b *bench) attach(audio ...packetbuf.Codec) *Reader {
	b.t.Helper()
	r, err := b.Attach("httpflv", audio...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(r.Close)
	return r
}

func (b *bench) state() lifecycle.State { return b.Snapshot(time.Now()).State }

func count(packets []*packetbuf.Packet, match func(*packetbuf.Packet) bool) (n int) {
	for _, p := range packets {
		if match(p) {
			n++
		}
	}
	return n
}
