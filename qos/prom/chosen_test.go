package prom

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

func streamsCalled(names ...string) (out []snapshot.Stream) {
	for _, n := range names {
		out = append(out, snapshot.Stream{Name: n, State: 1, Bitrate: 1000, BufferBytes: 10, Viewers: map[string]int{"rtmp": 1, "hls": 2}})
	}
	return out
}

// No more streams have series than may; whoever has them keeps them, even if the bound comes
// down, and the others are summed.
func TestChosen(t *testing.T) {
	r, most := idle(), 2
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(NewCollector(func() snapshot.Relay { return r }, func() int { return most }))
	for i, step := range []struct {
		streams   []string
		most      int
		has       []string
		otherRTMP int
	}{
		{[]string{"live/m", "live/n"}, 2, []string{"live/m", "live/n"}, 0},
		{[]string{"live/a", "live/b", "live/m", "live/n"}, 2, []string{"live/m", "live/n"}, 2},
		{[]string{"live/a", "live/b", "live/n"}, 2, []string{"live/a", "live/n"}, 1},
		{[]string{"live/a", "live/b", "live/n"}, 1, []string{"live/a", "live/n"}, 1},
		{[]string{"live/b", "live/n"}, 1, []string{"live/n"}, 1},
		{[]string{"live/b"}, 0, nil, 1},
	} {
		r.Streams, most = streamsCalled(step.streams...), step.most
		r.Routes = nil
		for _, s := range step.streams {
			r.Routes = append(r.Routes, snapshot.Route{Stream: s, Group: "cdn", Route: "a"})
		}
		var want strings.Builder
		want.WriteString("# HELP holdfast_viewers Viewers connected to the stream.\n# TYPE holdfast_viewers gauge\n")
		for _, s := range step.has {
			fmt.Fprintf(&want, "holdfast_viewers{protocol=\"rtmp\",stream=%q} 1\nholdfast_viewers{protocol=\"hls\",stream=%q} 2\n", s, s)
		}
		if n := step.otherRTMP; n > 0 {
			fmt.Fprintf(&want, "holdfast_viewers{protocol=\"rtmp\",stream=\"other\"} %d\nholdfast_viewers{protocol=\"hls\",stream=\"other\"} %d\n", n, 2*n)
		}
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want.String()), "holdfast_viewers"); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
		names, _ := series(t, reg)
		states, routes, bitrates := 0, 0, 0
		for _, n := range names {
			states += strings.Count(n, "holdfast_stream_state{")
			routes += strings.Count(n, "holdfast_route_state{")
			bitrates += strings.Count(n, "holdfast_ingest_bitrate{")
		}
		if more := min(step.otherRTMP, 1); states != len(step.has) || routes != len(step.has) || bitrates != len(step.has)+more {
			t.Errorf("step %d: %d states, %d routes, %d bitrates of %d streams", i, states, routes, bitrates, len(step.has))
		}
	}
}

// What a pull is to bring in has series before it is there.
func TestRouteBeforeItsStream(t *testing.T) {
	r := idle()
	reg, _ := register(t, &r)
	r.Routes = []snapshot.Route{{Stream: "cam/one", Group: "origin", Route: "a", State: 3}}
	if n, err := testutil.GatherAndCount(reg, "holdfast_route_state"); err != nil || n != 1 {
		t.Errorf("%d series, %v", n, err)
	}
}

// BenchmarkScrape measures /metrics of a relay with many streams, each with two routes.
func BenchmarkScrape(b *testing.B) {
	for _, size := range []struct{ streams, most int }{{10, 1000}, {1000, 1000}, {5000, 1000}} {
		b.Run(fmt.Sprintf("streams=%d,most=%d", size.streams, size.most), func(b *testing.B) {
			r := idle()
			for i := range size.streams {
				name := fmt.Sprintf("live/camera-%04d", i)
				r.Streams = append(r.Streams, snapshot.Stream{
					Name: name, State: 1, Bitrate: 2.5e6, FrameRate: 29.97, RTT: 20 * time.Millisecond, BufferBytes: 6e6, BufferLimit: 64 << 20,
					Viewers: map[string]int{"rtmp": 1, "rtmps": 0, "httpflv": 3, "hls": 10, "whep": 2, "mse": 1},
				})
				for _, way := range []string{"a", "b"} {
					r.Routes = append(r.Routes, snapshot.Route{Stream: name, Group: "cdn", Route: way, State: 2, Score: 0.97})
				}
			}
			r.Totals = []snapshot.RouteTotals{{Group: "cdn", Route: "a"}, {Group: "cdn", Route: "b"}}
			reg := prometheus.NewRegistry()
			reg.MustRegister(NewCollector(func() snapshot.Relay { return r }, func() int { return size.most }))
			handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
			bytes := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", http.NoBody))
				bytes = w.Body.Len()
			}
			b.ReportMetric(float64(bytes), "B/scrape")
		})
	}
}
