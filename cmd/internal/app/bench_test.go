package app

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// start runs a relay on free ports of loopback.
func start(tb testing.TB, change func(*configs.Config)) *App {
	tb.Helper()
	cfg := configs.Default()
	cfg.RTMP.Listen, cfg.HTTP.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.WebRTC.UDPListen = "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	a, err := New(Options{Config: &cfg, Log: slog.New(slog.DiscardHandler), Level: new(slog.LevelVar), Version: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	if err := a.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := a.Stop(tb.Context()); err != nil {
			tb.Log(err) // the test's context is done: remaining connections were closed
		}
	})
	return a
}

// fakeSession is a publisher session without a connection.
type fakeSession struct{}

func (fakeSession) ID() string                          { return "bench" }
func (fakeSession) RTT() (time.Duration, time.Duration) { return 0, 0 }
func (fakeSession) Close(ingest.Cause, string)          {}

// source publishes to a relay as fast as requested.
type source struct {
	sink ingest.Sink
	gen  *gen.Generator
}

func publish(tb testing.TB, a *App, o gen.Options) *source {
	tb.Helper()
	sink, err := a.relay.hub.Publish(tb.Context(), ingest.Request{App: "live", Name: "bench", Protocol: ingest.RTMP, Session: fakeSession{}})
	if err != nil {
		tb.Fatal(err)
	}
	return &source{sink: sink, gen: gen.New(o)}
}

func (s *source) push(tb testing.TB) *packetbuf.Packet {
	p := s.gen.Next()
	p.Arrived = time.Now()
	if err := s.sink.Write(p); err != nil {
		tb.Fatal(err)
	}
	return p
}

func (s *source) pushFor(tb testing.TB, d time.Duration) {
	for s.push(tb).DTS < d {
	}
}

// watch requests the stream over HTTP-FLV.
func watch(tb testing.TB, addr net.Addr) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	fmt.Fprintf(c, "GET /live/bench.flv HTTP/1.1\r\nHost: bench\r\n\r\n")
	return c
}

// BenchmarkJoin measures the time from the request to the complete first keyframe.
func BenchmarkJoin(b *testing.B) {
	a := start(b, nil)
	publish(b, a, gen.Options{}).pushFor(b, 5*time.Second)
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		c := watch(b, a.Addr("http"))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil) //nolint:bodyclose // the connection is, below
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("got %v %v", resp, err)
		}
		for r := flv.NewReader(resp.Body, 0); ; {
			tag, err := r.Next()
			if err != nil {
				b.Fatal(err)
			}
			if p, err := tag.Packet(); err == nil && p != nil && p.Kind == packetbuf.Key {
				break
			}
		}
		took = append(took, time.Since(begun))
		_ = c.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}

// crowd is a number of viewers that count the bytes they receive.
type crowd struct {
	conns []net.Conn
	got   atomic.Int64
	wait  sync.WaitGroup
	news  chan struct{} // of one: got has grown
}

func (c *crowd) join(conn net.Conn) {
	c.conns = append(c.conns, conn)
	c.wait.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			c.got.Add(int64(n))
			select {
			case c.news <- struct{}{}:
			default:
			}
		}
	})
}

func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.wait.Wait()
}

// until waits until all viewers together have received n bytes.
func (c *crowd) until(n int64) {
	for c.got.Load() < n {
		<-c.news
	}
}

const (
	fanoutViewers = 100
	fanoutPackets = 3 // that gather in 40 ms of 720p30
)

// BenchmarkFanout measures the cost of sending gathered packets to many viewers, and for
// comparison that of a bare program with one goroutine per socket, one channel and one writev.
func BenchmarkFanout(b *testing.B) {
	var bare time.Duration
	b.Run("bare", func(b *testing.B) { bare = fanoutBare(b) })
	b.Run("httpflv", func(b *testing.B) {
		cost := fanoutRelay(b)
		if bare > 0 {
			b.ReportMetric(float64(cost)/float64(bare), "x-bare")
		}
	})
}

func fanoutRelay(b *testing.B) time.Duration {
	a := start(b, func(c *configs.Config) {
		c.Defaults.Viewer.Gather = configs.AutoDuration(time.Second)
		c.Defaults.Viewer.Lag = time.Hour // the generator runs faster than time
	})
	src := publish(b, a, gen.Options{GOP: 1 << 20}) // a keyframe wakes by itself
	src.pushFor(b, 100*time.Millisecond)
	c := &crowd{news: make(chan struct{}, 1)}
	defer c.leave()
	for range fanoutViewers {
		c.join(watch(b, a.Addr("http")))
	}
	for a.relay.hub.Viewers() < fanoutViewers {
		<-c.news
	}
	s := a.relay.hub.Find("live/bench")
	settle(b, c, func() { src.push(b); s.Wake() })
	for b.Loop() {
		want := c.got.Load()
		for range fanoutPackets {
			want += fanoutViewers * int64(len(src.push(b).Serialized(packetbuf.FLVTag, flv.Tag)))
		}
		s.Wake()
		c.until(want)
	}
	return b.Elapsed() / time.Duration(b.N)
}

// settle publishes once and waits until no viewer receives anything more.
func settle(b *testing.B, c *crowd, push func()) {
	b.Helper()
	push()
	for was := int64(-1); was != c.got.Load(); {
		was = c.got.Load()
		select {
		case <-c.news:
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func fanoutBare(b *testing.B) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var batch atomic.Pointer[[][]byte]
	next := atomic.Pointer[chan struct{}]{}
	renew := func() *chan struct{} { ch := make(chan struct{}); return next.Swap(&ch) }
	renew()
	c := &crowd{news: make(chan struct{}, 1)}
	var writers sync.WaitGroup
	for range fanoutViewers {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		out, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		c.join(conn)
		first := *next.Load()
		writers.Go(func() {
			defer out.Close()
			for wake := first; ; {
				<-wake
				wake = *next.Load()
				bufs := net.Buffers(slices.Clone(*batch.Load()))
				if len(bufs) == 0 {
					return
				}
				if _, err := bufs.WriteTo(out); err != nil {
					return
				}
			}
		})
	}
	g := gen.New(gen.Options{GOP: 1 << 20})
	for b.Loop() {
		want := c.got.Load()
		var tags [][]byte
		for range fanoutPackets {
			tag := g.Next().Serialized(packetbuf.FLVTag, flv.Tag)
			tags, want = append(tags, tag), want+fanoutViewers*int64(len(tag))
		}
		batch.Store(&tags)
		close(*renew())
		c.until(want)
	}
	cost := b.Elapsed() / time.Duration(b.N)
	batch.Store(&[][]byte{})
	close(*renew())
	writers.Wait()
	c.leave()
	return cost
}
