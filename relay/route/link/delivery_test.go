package link

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// fakeServer accepts one push on a real socket, and reads when the test lets it.
type fakeServer struct {
	addr string
	read chan int // how many bytes to read next; closed: all
	done chan struct{}
}

func newFakeServer(t *testing.T, config *tls.Config) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{addr: l.Addr().String(), read: make(chan int), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10) // what it takes without being read
		if config != nil {
			conn = tls.Server(conn, config)
		}
		defer conn.Close()
		buf := make([]byte, 64<<10)
		for _, piece := range [][]byte{append([]byte{3}, make([]byte, 2*1536)...), connected(), slices.Concat(created(1), published())} {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
		for n := range s.read {
			if _, err := io.CopyN(io.Discard, conn, int64(n)); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, conn)
	}()
	t.Cleanup(func() { <-s.done })
	return s
}

// eventually waits until is says so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if is() {
			return
		}
		<-tick.C
	}
	t.Fatal("never: " + what)
}

// numbered are the clip's packets as they would come from a ring.
func numbered(n int) []*packetbuf.Packet {
	loop := testmedia.NewLoop(0)
	out := make([]*packetbuf.Packet, n)
	for i := range out {
		out[i] = loop.Next()
		out[i].Seq, out[i].Arrived = uint64(i+1), time.Now()
	}
	return out
}

// TestProgressOnASocket pushes to a server that reads nothing, then all: what waits shows as
// a write that waits, the backlog in the system is short, and the system tells of it.
func TestProgressOnASocket(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	pool := x509.NewCertPool()
	pool.AddCert(certified.Certificate())
	for name, config := range map[string]*tls.Config{
		"plain": nil, "tls": {Certificates: certified.TLS.Certificates}, //nolint:gosec // the test's own
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t, config)
			o := Options{URL: "rtmp://" + server.addr + "/live/cam"}
			if config != nil {
				o.URL = "rtmps://" + server.addr + "/live/cam"
				o.TLS = &tls.Config{RootCAs: pool, ServerName: "example.com"} //nolint:gosec // the test's own
			}
			p, err := Dial(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			eventually(t, "all has arrived", func() bool { return p.Progress(time.Now()).Unsent == 0 })
			if got := p.Progress(time.Now()); !got.Known || got.RTT <= 0 || got.Segments == 0 || !got.Oldest.IsZero() || got.Missing != 0 || got.Blocked != 0 {
				t.Errorf("%+v", got)
			}
			packets := numbered(2000)
			written := make(chan error)
			go func() { written <- p.Write(packets...) }()
			eventually(t, "stalled", func() bool { return p.Stalled(time.Now(), 300*time.Millisecond) })
			got := p.Progress(time.Now())
			if got.Blocked < 300*time.Millisecond || got.Oldest.IsZero() || got.Missing != 1 || got.Unsent == 0 || got.Sent != got.Arrived+got.Unsent {
				t.Errorf("%+v", got)
			}
			t.Logf("the server's system took %d, %d wait here", got.Arrived, got.Unsent)
			if got.Unsent > 256<<10 {
				t.Errorf("%d bytes wait in the system", got.Unsent)
			}
			close(server.read)
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			eventually(t, "all has arrived", func() bool { return p.Progress(time.Now()).Unsent == 0 })
			if got := p.Progress(time.Now()); !got.Oldest.IsZero() || got.Blocked != 0 || p.Stalled(time.Now(), time.Millisecond) || got.Sent <= p.Sent() {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestBlackHole hangs the line of a push in the middle: it shows by what RTMP says alone, after
// patience and the time of two acknowledgements. Before, a stream of 300 kb/s is never taken
// for hung, though acknowledgements come seconds apart.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		step := func() error {
			time.Sleep(40 * time.Millisecond) // the bubble's time
			return p.Write(&packetbuf.Packet{
				Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Delta, DTS: time.Duration(time.Now().UnixNano()),
				Payload: make([]byte, 1500), Arrived: time.Now(),
			})
		}
		const patience = 2500 * time.Millisecond
		for range 1500 { // a minute
			if err := step(); err != nil {
				t.Fatal(err)
			}
			if p.Stalled(time.Now(), patience) {
				t.Fatalf("stalled: %+v", p.Progress(time.Now()))
			}
		}
		n.Wire(0).Do(faultnet.Hang, faultnet.Both)
		begun := time.Now()
		for !p.Stalled(time.Now(), patience) {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		took := time.Since(begun)
		t.Logf("noticed after %v: %+v", took, p.Progress(time.Now()))
		if took > 8*time.Second { // two acknowledgements' worth of bytes, and patience
			t.Error("it took", took)
		}
		_ = p.Close()
		n.Wire(0).Do(faultnet.Reset, faultnet.Both)
		<-a.ended
	})
}

// BenchmarkProgress is what a look costs on a real socket.
func BenchmarkProgress(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	p := &Push{socket: newSocket(conn, time.Minute), delivery: newDelivery(time.Now(), 0)}
	p.delivery.put(time.Now(), 1, 500)
	b.ReportAllocs()
	for b.Loop() {
		p.Stalled(time.Now(), time.Second)
	}
}
