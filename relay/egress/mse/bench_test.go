package mse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryListener is a listener of in-memory connections.
type memoryListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *memoryListener) Close() error   { close(p.done); return nil }
func (p *memoryListener) Addr() net.Addr { return &net.TCPAddr{} }

// bench is a relay with one stream, live/cam, and its handler behind net/http.
type bench struct {
	*Handler
	t       *testing.T
	feeds   *cmaf.Feeds
	server  *http.Server
	pipes   *memoryListener
	limits  cmaf.Limits
	timeout time.Duration
	metrics streamtest.Metrics
	skipped atomic.Uint64
	playing atomic.Int64 // open subscriptions
	serving sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	places   []*fakeSubscription
	past     []*packetbuf.Packet // first packets of a feed
	live     bool
	refusal  error
	until    time.Time // expiry of the viewers' play tokens; zero means never
	life     int       // of the stream, and part of its tokens
	finished chan struct{}
}

var (
	errNotLive = errors.New("not live")
	errBusy    = errors.New("busy")
	errToken   = errors.New("the play token is not good")
)

// story runs f with a relay in a bubble.
func story(t *testing.T, change func(*bench), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{
			t: t, limits: cmaf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20, Lag: 5 * time.Second}, timeout: 10 * time.Second,
			live: true, finished: make(chan struct{}), pipes: &memoryListener{make(chan net.Conn), make(chan struct{})},
		}
		if change != nil {
			change(b)
		}
		quiet := slog.New(slog.DiscardHandler)
		b.feeds = cmaf.New(cmaf.Options{Open: b.open, Limits: func(string) cmaf.Limits { return b.limits }, Log: quiet})
		b.Handler = New(Options{
			Admission: b, HTTP: streamtest.HTTP{}, Metrics: &b.metrics, Feeds: b.feeds, Refuse: refusal, Skipped: &b.skipped, Log: quiet,
			Settings: func(string) Settings { return Settings{WriteTimeout: b.timeout, Lag: b.limits.Lag} },
		})
		b.server = &http.Server{Handler: b.Handler, ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError)}
		b.serving.Go(func() { _ = b.server.Serve(b.pipes) })
		defer func() {
			b.Close()
			b.feeds.Close()
			_ = b.server.Close()
			b.serving.Wait()
			if n := b.playing.Load(); n != 0 {
				t.Errorf("got %d open subscriptions, want 0", n)
			}
		}()
		f(b)
	})
}

func refusal(err error) Refusal {
	switch {
	case errors.Is(err, errNotLive):
		return Refusal{NotLive, "2"}
	case errors.Is(err, errBusy):
		return Refusal{Busy, "3"}
	}
	return Refusal{Refused, err.Error()}
}

// Join implements egress.Admission.
func (b *bench) Join(_ context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	token := fmt.Sprintf("token-%d", b.life)
	switch {
	case b.refusal != nil:
		return nil, egress.Grant{}, b.refusal
	case !b.live:
		return nil, egress.Grant{}, errNotLive
	}
	grant := egress.Grant{Token: token}
	if r.Resume != nil {
		grant.Known, grant.Expired = r.Resume.Token == token, r.Resume.Token == "old"
	}
	b.playing.Add(1)
	return &fakeSubscription{b: b, viewer: true, until: b.until}, grant, nil
}

func (b *bench) open(context.Context, string, bool) (egress.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &fakeSubscription{b: b, packets: make(chan *packetbuf.Packet, 1<<14)}
	for _, packet := range b.past {
		p.packets <- packet
	}
	b.places = append(b.places, p)
	return p, nil
}

// fakeSubscription is the subscription of a viewer, which is not read, or of a feed.
type fakeSubscription struct {
	b       *bench
	viewer  bool
	until   time.Time // expiry of the play token
	packets chan *packetbuf.Packet
}

var errUnpublished = errors.New("the publisher ended the stream")

func (p *fakeSubscription) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	select {
	case got, ok := <-p.packets:
		if !ok {
			return nil, errUnpublished
		}
		return []*packetbuf.Packet{got}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *fakeSubscription) Until() time.Time         { return p.until }
func (p *fakeSubscription) Has(packetbuf.Track) bool { return true }
func (p *fakeSubscription) Skip()                    {}
func (p *fakeSubscription) Done() <-chan struct{}    { return p.b.finished }

func (p *fakeSubscription) Close() {
	if p.viewer {
		p.b.playing.Add(-1)
	}
}

// publisher is a publisher whose packets arrive as time passes.
type publisher struct {
	b     *bench
	next  func() *packetbuf.Packet
	ahead *packetbuf.Packet
	seq   uint64
	began time.Time
}

func (b *bench) publish(o gen.Options) *publisher {
	if o.VideoBitrate == 0 {
		o.VideoBitrate = 500_000
	}
	return &publisher{b: b, next: gen.New(o).Next, began: time.Now()}
}

// publishFor publishes for d.
func (p *publisher) publishFor(d time.Duration) {
	for end := time.Now().Add(d); ; p.ahead = nil {
		if p.ahead == nil {
			p.ahead = p.next()
		}
		due := p.began.Add(p.ahead.DTS)
		if due.After(end) {
			time.Sleep(time.Until(end))
			synctest.Wait()
			return
		}
		time.Sleep(time.Until(due))
		p.seq++
		p.ahead.Arrived, p.ahead.Seq = time.Now(), p.seq
		p.b.mu.Lock()
		p.b.past = append(p.b.past, p.ahead)
		for _, to := range p.b.places {
			to.packets <- p.ahead
		}
		p.b.mu.Unlock()
	}
}

// finish ends the stream.
func (b *bench) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.finished)
	for _, p := range b.places {
		close(p.packets)
	}
	b.live, b.places = false, nil
}
