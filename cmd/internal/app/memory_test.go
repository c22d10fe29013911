package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// pushSession is a publisher session without a connection.
type pushSession struct{}

func (pushSession) ID() string                        { return "test" }
func (pushSession) Close(ingest.Cause, string)        {}
func (pushSession) RTT() (srtt, rttvar time.Duration) { return 0, 0 }

// publishGOPs publishes GOPs of ten frames of size bytes, two seconds of media each.
func publishGOPs(t *testing.T, a *App, name string, groups, size int) {
	t.Helper()
	sink, err := a.relay.hub.Publish(t.Context(), ingest.Request{App: "live", Name: name, Protocol: ingest.RTMP, Session: pushSession{}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range groups * 10 {
		kind := packetbuf.Delta
		if i%10 == 0 {
			kind = packetbuf.Key
		}
		p := &packetbuf.Packet{
			Track: packetbuf.Video, Codec: packetbuf.VP8, Kind: kind, Arrived: time.Now(),
			DTS: time.Duration(i) * 200 * time.Millisecond, Payload: make([]byte, size),
		}
		if err := sink.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Twelve publishers fill buffers of 62 MiB each beside a modest one. Without a limit they would
// take 744 MiB.
func TestMemoryLimit(t *testing.T) {
	const limit = 128 << 20
	a := run(t, new(logs), func(c *configs.Config) {
		c.Limits.Memory = limit
	})
	before := liveHeap()
	publishGOPs(t, a, "modest", 5, 64<<10) // 3 MiB
	for i := range 12 {
		publishGOPs(t, a, fmt.Sprintf("greedy%d", i), 8, 800<<10)
	}
	a.relay.memory.Balance()
	modest, _ := a.Stream("live/modest")
	if modest.Buffer.GOPs != 5 {
		t.Errorf("the modest stream keeps %d GOPs, want its 5", modest.Buffer.GOPs)
	}
	for i := range 12 {
		if s, _ := a.Stream(fmt.Sprintf("live/greedy%d", i)); s.Buffer.GOPs < 1 {
			t.Errorf("greedy stream %d keeps no GOP, want its newest at least", i)
		}
	}
	if used := a.relay.memory.Used(); used > limit {
		t.Errorf("got %d bytes in use, want at most %d", used, limit)
	}
	taken := liveHeap() - before
	t.Logf("the heap grew by %d MiB", taken>>20)
	if taken > limit*5/4 {
		t.Errorf("the heap grew by %d MiB, want about %d MiB at the most", taken>>20, limit>>20)
	}
	_, metrics := get(t, "http://"+a.Addr("admin").String()+"/metrics")
	_, about := get(t, "http://"+a.Addr("admin").String()+"/api/v1/relay")
	for _, want := range []string{"holdfast_memory_limit_bytes 1.34217728e+08", `holdfast_memory_bytes{kind="packets"} `} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q among the metrics", want)
		}
	}
	if !strings.Contains(about, `"limit_bytes":134217728`) {
		t.Errorf("about the relay: got %s", about)
	}
}

// Hundreds of requests a second cause only a few redistributions.
func TestMemoryIsDividedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := configs.Default()
		cfg.Limits.Memory = 16 << 20
		m := newMemory(&cfg)
		divided := 0
		m.Open(budget.Packets, func() { divided++ }).Set(32 << 20)
		stop := m.start()
		for range 1000 {
			select {
			case m.near <- struct{}{}:
			default:
			}
			time.Sleep(time.Millisecond)
		}
		stop()
		if divided < 10 || divided > 25 {
			t.Errorf("divided %d times in a second, want about 20", divided)
		}
	})
}

// New streams are refused once no existing buffer can shrink any further.
func TestMemoryFull(t *testing.T) {
	a := run(t, new(logs), func(c *configs.Config) { c.Limits.Memory = 16 << 20 })
	a.relay.memory.reassembly.Add(16 << 20)
	_, err := a.admission.Publish(t.Context(), ingest.Request{App: "live", Name: "new", Protocol: ingest.RTMP, Session: pushSession{}})
	var refusal *ingest.Refusal
	if !errors.As(err, &refusal) || refusal.Outcome != ingest.RefusedLimit || !strings.Contains(refusal.Hint, "limits.memory") {
		t.Fatalf("a new stream got %v, want a refusal that names limits.memory", err)
	}
	if push, err := dialPush(t, a, "live/new"); err == nil {
		_ = push.Close()
		t.Error("an RTMP push was let in")
	} else if !strings.Contains(err.Error(), "memory limit reached") {
		t.Errorf("an RTMP push was told %v, want the reason", err)
	}
	w := httptest.NewRecorder()
	refuse(w, nil, err) // as WHIP does
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"hint"`) {
		t.Errorf("HTTP answers %d, Retry-After %q, %s, want 503 with reason and hint", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}
