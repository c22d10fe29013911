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

// fakeRelay is a Server on loopback, with one stream that everybody may play.
type fakeRelay struct {
	*Server

	mu       sync.Mutex // guards what follows
	changed  *sync.Cond
	requests []egress.Request
	places   []*place
	template place // of new places
	refusal  error // of every play
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
	p.h, p.news, p.done = h, make(chan struct{}), make(chan struct{})
	h.places = append(h.places, &p)
	return &p, nil
}

// Join implements egress.Admission.
func (h *fakeRelay) Join(ctx context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	p, err := h.play(ctx, r)
	return p, egress.Grant{}, err
}

// until waits for something to be so; h.mu is held while so is asked.
func (h *fakeRelay) until(so func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !so() {
		h.changed.Wait()
	}
}

// left waits until nobody has a place or a slot any more.
func (h *fakeRelay) left() {
	h.until(func() bool {
		for _, p := range h.places {
			if p.closed != 1 {
				return false
			}
		}
		return h.taken == 0
	})
}

// over waits until everybody has left, ends the relay, and looks for what is left.
func (h *fakeRelay) over(t testing.TB) {
	t.Helper()
	h.left()
	if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if n := h.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// push has packets come to everybody, now.
func (h *fakeRelay) push(packets ...*packetbuf.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range packets {
		p.Arrived = time.Now()
	}
	for _, p := range h.places {
		p.packets = append(p.packets, packets...)
		close(p.news)
		p.news = make(chan struct{})
	}
}

// end has the stream end.
func (h *fakeRelay) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.places {
		close(p.done)
	}
}

// place is one viewer's. Its house's mu guards it.
type place struct {
	h        *fakeRelay
	packets  []*packetbuf.Packet
	configs  packetbuf.Configs
	picture  packetbuf.Codec // where there is no configuration of it
	reorders bool
	answers  bool // the publisher can be asked for keyframes

	at, closed, keys, rewinds int
	news                      chan struct{} // closed when there are more
	done                      chan struct{}
}

var errOver = errors.New("the stream is over")

func (p *place) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	for {
		p.h.mu.Lock()
		now, news := p.packets[p.at:], p.news
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

func (p *place) Skip()                    {}
func (p *place) Until() time.Time         { return time.Time{} }
func (p *place) Done() <-chan struct{}    { return p.done }
func (p *place) Has(packetbuf.Track) bool { return true }
func (p *place) VideoCodec() packetbuf.Codec {
	if c := p.configs[packetbuf.Video]; c != nil {
		return c.Codec
	}
	return p.picture
}

func (p *place) Config(tr packetbuf.Track) *packetbuf.Packet { return p.configs[tr] }
func (p *place) Reorders() bool                              { return p.reorders }
func (p *place) Close()                                      { p.h.note(&p.closed, 1) }

func (p *place) RequestKey() bool {
	p.h.note(&p.keys, 1)
	return p.answers
}

func (p *place) Rewind() bool {
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

// response is what the server says.
type response struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *response) Header() http.Header         { return r.header }
func (r *response) WriteHeader(status int)      { r.status = status }
func (r *response) Write(b []byte) (int, error) { return r.body.Write(b) }

// do makes a request without a network between.
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

// post makes an offer.
func (h *fakeRelay) post(t testing.TB, offer string) *response {
	t.Helper()
	return h.do(t, http.MethodPost, "/live/a/whep", offer, "Content-Type", "application/sdp", "Authorization", "Bearer secret", "User-Agent", "test")
}
