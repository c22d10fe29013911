package httpflv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a fake stream. Its viewers get the packets that are given from then on.
type source struct {
	refuse error // returned by all joins

	mu      sync.Mutex // guards the fields below
	asked   []egress.Request
	readers []*reader
}

// Join implements egress.Admission.
func (s *source) Join(_ context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	if s.refuse != nil {
		return nil, egress.Grant{}, s.refuse
	}
	grant := egress.Grant{Token: "t0ken", Resumed: egress.None}
	if r.Resume != nil {
		grant.Resumed = egress.Exact
	}
	rd := &reader{packets: make(chan []*packetbuf.Packet, 4096)}
	s.readers = append(s.readers, rd)
	return rd, grant, nil
}

// give sends packets to all viewers.
func (s *source) give(packets ...*packetbuf.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.packets <- packets
	}
}

// end ends the stream.
func (s *source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		close(r.packets)
	}
}

// open returns the number of open subscriptions.
func (s *source) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.readers {
		if !r.closed.Load() {
			n++
		}
	}
	return n
}

type reader struct {
	packets chan []*packetbuf.Packet
	closed  atomic.Bool
}

var errEnd = errors.New("the stream has ended")

// Read implements egress.Reader. Like the stream's, it returns at least once a second.
func (r *reader) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	beat := time.NewTimer(time.Second)
	defer beat.Stop()
	select {
	case p, ok := <-r.packets:
		if !ok {
			return nil, errEnd
		}
		return p, nil
	case <-beat.C:
		return nil, ctx.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reader) Has(packetbuf.Track) bool { return true }
func (r *reader) Skip()                    {}
func (r *reader) Done() <-chan struct{}    { return nil }
func (r *reader) Until() time.Time         { return time.Time{} }
func (r *reader) Close()                   { r.closed.Store(true) }

// served is a handler behind net/http.
type served struct {
	*Handler
	source  *source
	metrics streamtest.Metrics
	log     bytes.Buffer
}

const writeTimeout = 10 * time.Second

func newServed() *served {
	s := &served{source: &source{}}
	s.Handler = New(Options{
		Admission: s.source, HTTP: streamtest.HTTP{}, Metrics: &s.metrics,
		WriteTimeout: func(string, string) time.Duration { return writeTimeout },
		Log:          slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	return s
}

// serve runs the handler in memory until the test ends.
func (s *served) serve(t *testing.T, options func(int) faultnet.Options) *faultnet.Network {
	t.Helper()
	network := faultnet.NewNetwork(options)
	l, err := network.Listen("relay")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.Handler, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		_ = server.Close()
		serving.Wait()
	})
	return network
}

// dial sends a request and returns the connection.
func dial(t *testing.T, network *faultnet.Network, request string) net.Conn {
	t.Helper()
	c, err := network.DialContext(t.Context(), "", "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c
}

const get = "GET /live/cam.flv HTTP/1.1\r\nHost: relay\r\n\r\n"

// packets returns the start of a generated stream.
func packets(d time.Duration) []*packetbuf.Packet {
	all := gen.New(gen.Options{}).Until(d)
	for _, p := range all {
		p.Arrived = time.Now()
	}
	return all
}

// expect reads the packets from a stream, each complete and with its time.
func expect(t *testing.T, r *flv.Reader, want []*packetbuf.Packet) {
	t.Helper()
	for i, p := range want {
		tag, err := r.Next()
		if err != nil {
			t.Fatalf("packet %d of %d: %v", i, len(want), err)
		}
		got, err := tag.Packet()
		if err != nil || got == nil || got.Track != p.Track || got.Kind != p.Kind || tag.Timestamp != p.Millis() || !bytes.Equal(got.Payload, p.Payload) {
			t.Fatalf("packet %d: got %+v, %v\nwant %+v", i, tag, err, p)
		}
	}
}
