package whep

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/rtcsock/signal"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

// fakeRelay is a Server on loopback, with one stream that everyone may play.
type fakeRelay struct {
	*Server

	mu       sync.Mutex // guards the fields below
	changed  *sync.Cond
	requests []egress.Request
	subs     []*fakeSubscription
	template fakeSubscription // copied for each subscription
	refusal  error            // returned by each join
	full     *signal.Refusal
	taken    int
	metrics  streamtest.Metrics
}

func newHouse(t testing.TB, change func(*Options)) *fakeRelay {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := rtcsock.New(rtcsock.Options{UDP: udp})
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeRelay{}
	h.changed = sync.NewCond(&h.mu)
	o := Options{
		Admission: h, HTTP: streamtest.HTTP{}, Metrics: &h.metrics, Sockets: sockets, Log: slog.New(slog.DiscardHandler), Take: h.take,
	}
	if change != nil {
		change(&o)
	}
	h.Server = New(o)
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		_ = sockets.Close()
	})
	return h
}

func (h *fakeRelay) take(string) (func(), *signal.Refusal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.full != nil {
		return nil, h.full
	}
	h.taken++
	return func() { h.note(&h.taken, -1) }, nil
}

func (h *fakeRelay) note(count *int, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*count += by
	h.changed.Broadcast()
}

func (h *fakeRelay) play(_ context.Context, r egress.Request) (Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
	if h.refusal != nil {
		return nil, h.refusal
	}
	p := h.template
	p.h, p.more, p.done = h, make(chan struct{}), make(chan struct{})
	h.subs = append(h.subs, &p)
	return &p, nil
}

// Join implements egress.Admission.
func (h *fakeRelay) Join(ctx context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	p, err := h.play(ctx, r)
	return p, egress.Grant{}, err
}

// until waits until so returns true, which is called with h.mu held.
func (h *fakeRelay) until(so func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !so() {
		h.changed.Wait()
	}
}

// left waits until all subscriptions and slots are released.
func (h *fakeRelay) left() {
	h.until(func() bool {
		for _, p := range h.subs {
			if p.closed != 1 {
				return false
			}
		}
		return h.taken == 0
	})
}

// over waits until all viewers have left, closes the server, and checks that nothing is left.
func (h *fakeRelay) over(t testing.TB) {
	t.Helper()
	h.left()
	if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if n := h.Sessions(); n != 0 {
		t.Errorf("got %d sessions, want 0", n)
	}
}

// push sends packets to all viewers now.
func (h *fakeRelay) push(packets ...*packetbuf.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range packets {
		p.Arrived = time.Now()
	}
	for _, p := range h.subs {
		p.packets = append(p.packets, packets...)
		close(p.more)
		p.more = make(chan struct{})
	}
}

// end ends the stream.
func (h *fakeRelay) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.subs {
		close(p.done)
	}
}

// fakeSubscription is the subscription of one viewer. It is guarded by the mutex of its fakeRelay.
type fakeSubscription struct {
	h                  *fakeRelay
	packets            []*packetbuf.Packet
	configs            packetbuf.Configs
	videoCodec         packetbuf.Codec // video codec without a configuration
	reorders           bool
	acceptsKeyRequests bool // the publisher can be asked for keyframes

	at, closed, keys, rewinds int
	more                      chan struct{} // closed when more packets are available
	done                      chan struct{}
}

var errOver = errors.New("the stream is over")

func (p *fakeSubscription) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	for {
		p.h.mu.Lock()
		now, news := p.packets[p.at:], p.more
		p.at = len(p.packets)
		p.h.mu.Unlock()
		if len(now) > 0 {
			return now, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.done:
			return nil, errOver
		}
	}
}

func (p *fakeSubscription) Skip()                    {}
func (p *fakeSubscription) Until() time.Time         { return time.Time{} }
func (p *fakeSubscription) Done() <-chan struct{}    { return p.done }
func (p *fakeSubscription) Has(packetbuf.Track) bool { return true }
func (p *fakeSubscription) VideoCodec() packetbuf.Codec {
	if c := p.configs[packetbuf.Video]; c != nil {
		return c.Codec
	}
	return p.videoCodec
}

func (p *fakeSubscription) Config(tr packetbuf.Track) *packetbuf.Packet { return p.configs[tr] }
func (p *fakeSubscription) Reorders() bool                              { return p.reorders }
func (p *fakeSubscription) Close()                                      { p.h.note(&p.closed, 1) }

func (p *fakeSubscription) RequestKey() bool {
	p.h.note(&p.keys, 1)
	return p.acceptsKeyRequests
}

func (p *fakeSubscription) Rewind() bool {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	for i := len(p.packets) - 1; i >= 0; i-- {
		if p.packets[i].Kind == packetbuf.Key {
			p.at = i
			p.rewinds++
			return true
		}
	}
	return false
}

// response is a response of the server.
type response struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *response) Header() http.Header         { return r.header }
func (r *response) WriteHeader(status int)      { r.status = status }
func (r *response) Write(b []byte) (int, error) { return r.body.Write(b) }

// do performs a request without a network.
func (h *fakeRelay) do(t testing.TB, method, path, body string, headers ...string) *response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://relay"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:4000"
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := &response{status: http.StatusOK, header: http.Header{}}
	h.ServeHTTP(w, r)
	return w
}

// post sends an offer.
func (h *fakeRelay) post(t testing.TB, offer string) *response {
	t.Helper()
	return h.do(t, http.MethodPost, "/live/a/whep", offer, "Content-Type", "application/sdp", "Authorization", "Bearer secret", "User-Agent", "test")
}
