package mse

import (
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

// BenchmarkViewers sends 300 viewers one second of 1 Mbit/s at a time on loopback, with each
// chunk acknowledged. It reports the memory of one viewer and the CPU time of its second.
func BenchmarkViewers(b *testing.B) {
	const viewers = 300
	quiet := slog.New(slog.DiscardHandler)
	relay := &bench{live: true, finished: make(chan struct{})}
	feeds := cmaf.New(cmaf.Options{Open: relay.open, Log: quiet, Limits: func(string) cmaf.Limits { return cmaf.Limits{Duration: 20 * time.Second} }})
	defer feeds.Close()
	h := New(Options{
		Admission: relay, HTTP: streamtest.HTTP{}, Metrics: &relay.metrics, Feeds: feeds, Refuse: refusal, Skipped: &relay.skipped, Log: quiet,
		Settings: func(string) Settings { return Settings{WriteTimeout: 10 * time.Second} },
	})
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	g := gen.New(gen.Options{VideoBitrate: 900_000, GOP: 30})
	seq, clock := uint64(0), time.Duration(0)
	push := func() {
		for clock += time.Second; ; {
			p := g.Next()
			seq++
			p.Seq, p.Arrived = seq, time.Now()
			relay.mu.Lock()
			for _, to := range relay.places {
				to.packets <- p
			}
			relay.past = append(relay.past, p)
			relay.mu.Unlock()
			if p.DTS >= clock {
				return
			}
		}
	}
	push()
	before := heap()
	var reading sync.WaitGroup
	for range viewers {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		reading.Go(func() { acknowledge(c) })
	}
	settled := func() uint64 { // when all writes are done
		for n := relay.metrics.Bytes.Load(); ; {
			wait := time.NewTimer(20 * time.Millisecond)
			<-wait.C
			now := relay.metrics.Bytes.Load()
			if now == n {
				return n
			}
			n = now
		}
	}
	push()
	for relay.metrics.First.Load() < viewers {
		runtime.Gosched()
	}
	settled()
	held := heap() - before - viewers*clientBuffer
	sent, cpu := relay.metrics.Bytes.Load(), cpuTime()
	b.ResetTimer()
	for range b.N {
		push()
		settled()
	}
	b.StopTimer()
	b.ReportMetric(float64(held)/viewers, "B/viewer")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N)/viewers, "µs/viewer-second")
	b.ReportMetric(float64(relay.metrics.Bytes.Load()-sent)/float64(b.N)/viewers*8/1e6, "Mbit/viewer-second")
	if relay.skipped.Load() > 0 {
		b.Errorf("got %d skips, want 0", relay.skipped.Load())
	}
}

// clientBuffer is the read buffer of a client, larger than a chunk.
const clientBuffer = 32 << 10

// acknowledge is a client without a player that acknowledges everything.
func acknowledge(c net.Conn) {
	fmt.Fprint(c, "GET /live/cam/mse HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	text := `{"ack": 9000000000000000}`
	frame := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...) // with a mask of zeros
	for buf := make([]byte, clientBuffer); ; {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if _, err := c.Write(frame); err != nil {
			return
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
