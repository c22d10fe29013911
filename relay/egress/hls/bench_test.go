package hls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a relay of one stream, live/cam, and its handler.
type bench struct {
	*Handler
	t      testing.TB
	feeds  *cmaf.Feeds
	set    Settings
	config stream.Config

	renditions map[string][]string // of a stream; they are all the one stream

	bytes atomic.Uint64
	joins atomic.Int64

	counters stream.Counters
	load     stream.Load
	mu       sync.Mutex // guards what follows
	now      *stream.Stream
	secret   string // that a token has to be; empty: open
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
	b.start()
	return b
}

// start runs a relay.
func (b *bench) start() {
	b.feeds = cmaf.New(cmaf.Options{
		Open: b.open, Log: slog.New(slog.DiscardHandler),
		Again: func(err error) bool {
			var end *stream.EndError
			return errors.As(err, &end) && end.Again
		},
		Limits: func(string) cmaf.Limits {
			return cmaf.Limits{Duration: b.config.Buffer.Duration, Bytes: b.config.Buffer.Bytes, Lag: b.config.Lag}
		},
	})
	b.Handler = New(Options{
		Streams: b, Feeds: b.feeds, Settings: func(string) Settings { return b.set }, Bytes: &b.bytes, Joined: func(time.Duration) { b.joins.Add(1) },
		Renditions: func(name string) []string { return b.renditions[name] },
		Remote:     func(r *http.Request) string { return r.RemoteAddr }, Log: slog.New(slog.DiscardHandler),
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Retry-After", "2")
			http.Error(w, err.Error(), http.StatusNotFound)
		},
		Problem: func(w http.ResponseWriter, status int, reason, hint string) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": reason, "hint": hint})
		},
	})
}

// stop ends the relay as a kill would: the stream is gone.
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
		time.Sleep(26 * 365 * 24 * time.Hour) // bubbles begin in 2000, sequences in 2024
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

// Play implements egress.Streams.
func (b *bench) Play(_ context.Context, r egress.Request) (egress.Place, error) {
	if b.secret != "" && r.Token != b.secret {
		return nil, errors.New("no token")
	}
	s := b.stream()
	if s == nil || r.App != "live" || r.Name != "cam" && r.Name != "cam~360p" {
		return nil, errNotLive
	}
	return s.Attach(r.Protocol)
}

func (b *bench) open(_ context.Context, name string, again bool) (egress.Place, error) {
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
	place.TakeWays()
	return place, nil
}

type session struct{}

func (session) ID() string                          { return "s" }
func (session) RTT() (time.Duration, time.Duration) { return 0, 0 }
func (session) Close(ingest.Cause, string)          {}

// push is one publisher.
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

// run pushes for d, as fast as that passes.
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

// get asks the handler.
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

// client is a low-latency player: it asks for each part, and checks all that it sees.
type client struct {
	b    *bench
	v    *m3u8.Validator
	base string // of the media playlist, with its query

	mu       sync.Mutex // guards what follows
	faults   []string
	statuses map[int]int
	latency  []time.Duration // of parts: from the time of day of their start to their arrival
	texts    []string
	files    map[string][]byte
	ends     bool
}

func (b *bench) client() *client {
	return &client{b: b, v: m3u8.NewValidator(), statuses: map[int]int{}, files: map[string][]byte{}}
}

func (c *client) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) < 5 {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// index asks for the multivariant playlist until it is there.
func (c *client) index(ctx context.Context) bool {
	for ctx.Err() == nil {
		w := c.b.get("/live/cam/index.m3u8")
		c.count(w.Code)
		if w.Code == http.StatusOK {
			lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
			c.base = "/live/cam/" + lines[len(lines)-1]
			return true
		}
		c.wait(ctx, w)
	}
	return false
}

func (c *client) count(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[status]++
}

// wait does as Retry-After says.
func (c *client) wait(ctx context.Context, w *httptest.ResponseRecorder) {
	after, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if err != nil || w.Header().Get("Cache-Control") != "no-store" && w.Code != http.StatusNotFound {
		c.fault("%d: Retry-After %q, Cache-Control %q: %s", w.Code, w.Header().Get("Retry-After"), w.Header().Get("Cache-Control"), w.Body.String())
		after = 1
	}
	select {
	case <-time.After(time.Duration(after) * time.Second):
	case <-ctx.Done():
	}
}

// play plays until ctx ends or the stream does.
func (c *client) play(ctx context.Context) {
	if !c.index(ctx) {
		return
	}
	query := ""
	for ctx.Err() == nil {
		w := c.b.ask(ctx, c.base+query)
		if ctx.Err() != nil {
			return
		}
		c.count(w.Code)
		if w.Code != http.StatusOK {
			if w.Code == http.StatusBadRequest {
				c.fault("%s: %s", query, w.Body.String())
			}
			query = ""
			c.wait(ctx, w)
			continue
		}
		text := w.Body.String()
		c.mu.Lock()
		c.texts = append(c.texts, text)
		c.mu.Unlock()
		if err := c.v.Add(text); err != nil {
			c.fault("%v\n%s", err, text)
			return
		}
		p, _ := m3u8.Parse(text)
		c.fetch(p)
		if p.Ended {
			c.mu.Lock()
			c.ends = true
			c.mu.Unlock()
			return
		}
		query = fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", c.v.Last()+1, len(p.Open.Parts))
	}
}

// fetch takes what is new, and holds it against what is there.
func (c *client) fetch(p m3u8.Playlist) {
	for _, s := range append(p.Segments, p.Open) {
		var joined []byte
		for _, text := range s.Parts {
			a := m3u8.Attributes(text)
			b, fresh := c.file(a["URI"])
			joined = append(joined, b...)
			if fresh && s.URI == "" && len(c.texts) > 1 {
				date, _ := time.Parse(time.RFC3339, s.Date)
				before := 0.0
				for _, other := range s.Parts {
					if other == text {
						break
					}
					before += m3u8.Seconds(m3u8.Attributes(other)["DURATION"])
				}
				c.mu.Lock()
				c.latency = append(c.latency, time.Since(date.Add(time.Duration(before*float64(time.Second)))))
				c.mu.Unlock()
			}
		}
		if s.URI == "" {
			continue
		}
		c.file(s.Init)
		whole, fresh := c.file(s.URI)
		if fresh && len(s.Parts) > 0 && !bytes.Equal(joined, whole) {
			c.fault("%s is not its parts", s.URI)
		}
	}
}

func (c *client) file(name string) (body []byte, fresh bool) {
	c.mu.Lock()
	body, had := c.files[name]
	c.mu.Unlock()
	if had {
		return body, false
	}
	w := c.b.get("/live/cam/" + name)
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		c.fault("%s: %d %s", name, w.Code, w.Body.String())
		return nil, false
	}
	body = w.Body.Bytes()
	c.mu.Lock()
	c.files[name] = body
	c.mu.Unlock()
	return body, true
}

// playing plays beside what the test does; the returned function ends it and says what was
// wrong.
func (c *client) playing() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { c.play(ctx) })
	return func() {
		c.b.t.Helper()
		cancel()
		done.Wait()
		for _, f := range c.faults {
			c.b.t.Error(f)
		}
	}
}

// tally is what came out of the segments, as their frames say it.
func (c *client) tally() *gen.Tally {
	c.b.t.Helper()
	tally := gen.NewTally()
	for seq := uint64(0); seq <= c.v.Last(); seq++ {
		s, ok := c.v.Segments[seq]
		if !ok {
			seq = max(seq, c.first()-1)
			continue
		}
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(c.files[s.Init])); err != nil {
			c.b.t.Fatal(err)
		}
		var parts fmp4.Parts
		if err := parts.Unmarshal(c.files[s.URI]); err != nil {
			c.b.t.Fatalf("segment %d: %v", seq, err)
		}
		for _, p := range parts {
			for _, tr := range p.Tracks {
				at := tr.BaseTime
				for _, sample := range tr.Samples {
					pkt := &packetbuf.Packet{Track: packetbuf.Track(tr.ID - 1), Kind: packetbuf.Delta, DTS: time.Duration(at), Payload: sample.Payload}
					if _, err := gen.Identify(pkt); err != nil {
						pkt.Flags = packetbuf.Filler
					}
					at += uint64(sample.Duration)
					_ = tally.Add(pkt) // a keyframe that was shown again comes twice
				}
			}
		}
	}
	return tally
}

func (c *client) first() uint64 {
	first := c.v.Last()
	for seq := range c.v.Segments {
		first = min(first, seq)
	}
	return first
}
