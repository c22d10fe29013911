package hls

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "s=abc&token=x%20y", "_HLS_msn=1&_HLS_part=2&_HLS_skip=YES", "_HLS_part=1", "ll=0&%zz", "_HLS_msn=18446744073709551616"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		if err != nil {
			return
		}
		if q.part >= 0 && !q.blocking || q.part > 1<<16 || q.session != "" && !validSession(q.session) {
			t.Fatalf("%q: got %+v", raw, q)
		}
		// Values in the media playlist's URL are parsed back from it.
		if q.session == "" && q.token != "" {
			q.session = newID()
		}
		uri, err := url.Parse(mediaURI("", q))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseQuery(uri.RawQuery); len(q.token)+len(q.instance) < maxQuery/8 && (err != nil || back.token != q.token || back.session != q.session || back.instance != q.instance) {
			t.Fatalf("%q: got %+v, error %v", raw, back, err)
		}
	})
}

func FuzzFile(f *testing.F) {
	for _, name := range []string{"index.m3u8", "init-abc.mp4", "1-abc.m4s", "p1-abc.m4s", "-.m4s", "18446744073709551616-x.m4s", "p.m4s"} {
		f.Add(name)
	}
	v := &view{stored: []*segment{{seq: 1, id: "abc", init: &initSection{id: "abc"}}}, window: 1, nextPart: "p1-abc"}
	f.Fuzz(func(t *testing.T, name string) {
		Match("/live/cam/" + name)
		c := &channel{}
		c.view.Store(v)
		c.file(name)
	})
}

// discard is a response that discards its body.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkRequests measures one request of a viewer in the handler.
func BenchmarkRequests(b *testing.B) {
	bench := newBench(b, nil)
	defer bench.stop()
	p := bench.publish(gen.Options{VideoBitrate: 2_500_000})
	for _, packet := range gen.New(gen.Options{VideoBitrate: 2_500_000}).Until(16 * time.Second) {
		packet.Arrived = time.Now()
		if err := p.sink.Write(packet); err != nil {
			b.Fatal(err)
		}
	}
	text := bench.get("/live/cam/media.m3u8?s=abc").Body.String()
	pl, err := m3u8.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	last := pl.Segments[len(pl.Segments)-1]
	for name, path := range map[string]string{"playlist": "media.m3u8?s=abc&_HLS_msn=1&_HLS_part=1", "part": m3u8.Attributes(last.Parts[0])["URI"], "segment": last.URI} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/live/cam/"+path, nil)
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				bench.ServeHTTP(w, r)
			}
		})
	}
}
