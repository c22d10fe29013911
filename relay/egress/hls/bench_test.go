package hls

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a relay with one stream, live/cam, and its handler.
type bench struct {
	*Handler
	t      testing.TB
	feeds  *cmaf.Feeds
	set    Settings
	config stream.Config

	renditions map[string][]string // by stream; they all read the same stream

	metrics streamtest.Metrics

	counters stream.Counters
	load     stream.Load
	mu       sync.Mutex // guards the fields below
	now      *stream.Stream
	secret   string // required token; empty if playing is open
	plays    []egress.Request
	turn     chan struct{} // Join waits for it, unless nil
}

var errNotLive = errors.New("not live")

func newBench(t testing.TB, change func(*bench)) *bench {
	b := &bench{
		t: t, set: Settings{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7},
		config: stream.Config{
			FirstMedia: 10 * time.Second, Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second, Freeze: true,
			Buffer: packetbuf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20}, Gather: stream.GatherAuto, Lag: 5 * time.Second,
		},
	}
	if change != nil {
		change(b)
	}
	b.config.Segment = b.set.Segment
	b.start()
	return b
}

// start starts a relay.
func (b *bench) start() {
	b.feeds = cmaf.New(cmaf.Options{
		Open: b.open, Log: slog.New(slog.DiscardHandler),
		Reopen: func(err error) bool {
			var end *stream.EndError
			return errors.As(err, &end) && end.Again
		},
		Limits: func(string) cmaf.Limits {
			return cmaf.Limits{Duration: b.config.Buffer.Duration, Bytes: b.config.Buffer.Bytes, Lag: b.config.Lag}
		},
	})
	b.Handler = New(Options{
		Admission: b, HTTP: streamtest.HTTP{RefusalStatus: http.StatusNotFound, RetryAfter: "2"}, Metrics: &b.metrics,
		Feeds: b.feeds, Settings: func(string) Settings { return b.set }, Log: slog.New(slog.DiscardHandler),
		Renditions: func(name string) []string { return b.renditions[name] },
	})
}

// stop ends the relay as a kill would; the stream is lost.
func (b *bench) stop() {
	b.mu.Lock()
	s := b.now
	b.now = nil
	b.mu.Unlock()
	if s != nil {
		s.Close(ingest.Kick, "the test is over")
	}
	b.Close()
	b.feeds.Close()
}

// story runs f with a relay in a bubble.
func story(t *testing.T, change func(*bench), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(26 * 365 * 24 * time.Hour) // bubbles begin in 2000, sequence numbers in 2024
		b := newBench(t, change)
		defer b.stop()
		f(b)
	})
}

func (b *bench) stream() *stream.Stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// Join implements egress.Admission.
func (b *bench) Join(ctx context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	b.mu.Lock()
	b.plays = append(b.plays, r)
	turn := b.turn
	b.mu.Unlock()
	if turn != nil {
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, egress.Grant{}, ctx.Err()
		}
	}
	if b.secret != "" && r.Token != b.secret {
		return nil, egress.Grant{}, errors.New("no token")
	}
	s := b.stream()
	if s == nil || r.App != "live" || r.Name != "cam" && r.Name != "cam~360p" {
		return nil, egress.Grant{}, errNotLive
	}
	sub, err := s.Attach(r.Protocol)
	return sub, egress.Grant{}, err
}

func (b *bench) open(_ context.Context, name string, again bool) (egress.Subscription, error) {
	s := b.stream()
	if s == nil || !strings.HasPrefix(name, "live/cam") {
		return nil, errNotLive
	}
	from := uint64(1)
	if again {
		from = 0
	}
	place, err := s.Tap(from)
	if err != nil {
		return nil, err
	}
	place.WantRepeats()
	return place, nil
}

type session struct{}

func (session) ID() string                          { return "s" }
func (session) RTT() (time.Duration, time.Duration) { return 0, 0 }
func (session) Close(ingest.Cause, string)          {}

// push is a publisher.
type push struct {
	sink  ingest.Sink
	next  func() *packetbuf.Packet
	ahead *packetbuf.Packet
	began time.Time
}

func (b *bench) publish(o gen.Options) *push {
	if o.VideoBitrate == 0 {
		o.VideoBitrate = 500_000
	}
	g := gen.New(o)
	return b.publishes(g.Next)
}

func (b *bench) publishes(next func() *packetbuf.Packet) *push {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		select {
		case <-b.now.Done():
			b.now = nil
		default:
		}
	}
	if b.now == nil {
		b.now = stream.New("live/cam", stream.Options{Config: b.config, Observer: quiet{}, Counters: &b.counters, Load: &b.load, Log: slog.New(slog.DiscardHandler)})
	}
	sink, err := b.now.Publish(context.Background(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: session{}})
	if err != nil {
		b.t.Fatal(err)
	}
	return &push{sink: sink, next: next, began: time.Now()}
}

type quiet struct{}

func (quiet) Observe(stream.Event) {}

// run publishes d of media in the bubble's time.
func (p *push) run(t *testing.T, d time.Duration) {
	for end := time.Now().Add(d); ; p.ahead = nil {
		if p.ahead == nil {
			p.ahead = p.next()
		}
		due := p.began.Add(p.ahead.DTS)
		if due.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(time.Until(due))
		p.ahead.Arrived = time.Now()
		if err := p.sink.Write(p.ahead); err != nil {
			t.Errorf("write: %v", err)
			return
		}
	}
}

// get requests a path from the handler.
func (b *bench) get(path string, header ...string) *httptest.ResponseRecorder {
	return b.ask(context.Background(), path, header...)
}

func (b *bench) ask(ctx context.Context, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil).WithContext(ctx)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}
