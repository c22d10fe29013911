package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// BenchmarkConsole measures the requests of one console, sent every few seconds, on a relay with
// 2,000 streams. The size of the response is in the metrics.
func BenchmarkConsole(b *testing.B) {
	const streams = 2000
	a := start(b, nil)
	for n := range streams {
		sink, err := a.relay.hub.Publish(b.Context(), ingest.Request{App: "live", Name: fmt.Sprintf("cam%04d", n), Protocol: ingest.RTMP, Session: fakeSession{}})
		if err != nil {
			b.Fatal(err)
		}
		(&source{sink: sink, gen: gen.New(gen.Options{VideoBitrate: 50_000, GOP: 10})}).pushFor(b, time.Second)
	}
	for name, path := range map[string]string{
		"all": "/api/v1/streams", "page": "/api/v1/streams?order=trouble&limit=50",
		"search": "/api/v1/streams?order=trouble&limit=50&search=cam19", "one": "/api/v1/streams/live/cam1000",
	} {
		b.Run(name, func(b *testing.B) {
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				a.admin.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "B/answer")
		})
	}
}
