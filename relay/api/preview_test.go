package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

func previewing(of func(context.Context, string) (Picture, error)) http.Handler {
	f := &fake{}
	return New(Options{
		Relay: f, Routes: &f.routes, Events: NewEvents(), Token: func() string { return "s3cret" },
		Metrics: http.NotFoundHandler(), Preview: of,
	})
}

func TestPreview(t *testing.T) {
	const path = "/api/v1/streams/live/cam/preview"
	asked := ""
	h := previewing(func(_ context.Context, stream string) (Picture, error) {
		asked = stream
		return Picture{Codecs: "avc1.42c00a,mp4a.40.2", Data: []byte("moof")}, nil
	})
	if w := ask(h, "GET", path); w.Code != http.StatusUnauthorized || asked != "" {
		t.Errorf("without the token: got %d, asked %q", w.Code, asked)
	}
	w := ask(h, "GET", path, "Authorization", "Bearer s3cret")
	if w.Code != 200 || w.Body.String() != "moof" || asked != "live/cam" || w.Header().Get("Content-Type") != `video/mp4; codecs="avc1.42c00a,mp4a.40.2"` ||
		w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("got %d %v %q, asked %q", w.Code, w.Header(), w.Body, asked)
	}
	for _, tt := range []struct {
		err    error
		status int
	}{
		{&ingest.Refusal{NotLive: true, Reason: "not live", Hint: "publish"}, http.StatusNotFound},
		{&ingest.Refusal{Reason: "no pictures", Hint: "listen"}, http.StatusUnprocessableEntity},
		{context.DeadlineExceeded, http.StatusServiceUnavailable},
		{errors.New("ended"), http.StatusServiceUnavailable},
	} {
		h := previewing(func(context.Context, string) (Picture, error) { return Picture{}, tt.err })
		w := ask(h, "GET", path, "Authorization", "Bearer s3cret")
		if w.Code != tt.status {
			t.Errorf("%v: got %d", tt.err, w.Code)
		}
		problem(t, w)
	}
	problem(t, ask(previewing(nil), "GET", path, "Authorization", "Bearer s3cret"))
}

// slow is a client that must read its response until a deadline.
type slow struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (s *slow) SetWriteDeadline(at time.Time) error {
	s.until = at
	return nil
}

// Few keyframes are in memory at a time: requests without a slot are rejected in time, and
// clients that do not read are disconnected.
func TestPreviewsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, leave := 0, make(chan struct{})
		h := previewing(func(context.Context, string) (Picture, error) {
			made++ // one goroutine of a bubble at a time, in turn
			<-leave
			return Picture{Data: []byte("moof")}, nil
		})
		const path = "/api/v1/streams/live/cam/preview"
		var busy sync.WaitGroup
		for range maxPreviews {
			busy.Go(func() {
				w := &slow{ResponseRecorder: httptest.NewRecorder()}
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Authorization", "Bearer s3cret")
				h.ServeHTTP(w, r)
				if left := time.Until(w.until); w.Code != http.StatusOK || left <= 0 || left > time.Minute {
					t.Errorf("got %d, %v to read it", w.Code, left)
				}
			})
			synctest.Wait()
		}
		begun := time.Now()
		w := ask(h, "GET", path, "Authorization", "Bearer s3cret")
		if took := time.Since(begun); w.Code != http.StatusServiceUnavailable || made != maxPreviews || took == 0 {
			t.Errorf("one more: got %d after %v; %d made", w.Code, took, made)
		}
		problem(t, w)
		close(leave)
		busy.Wait()
		if w := ask(h, "GET", path, "Authorization", "Bearer s3cret"); w.Code != http.StatusOK {
			t.Errorf("afterwards: got %d", w.Code)
		}
	})
}

// GET requests that cause work reject other sites' pages. Programs send no origin.
func TestWorkRejectsOtherSites(t *testing.T) {
	f := &fake{}
	h := New(Options{
		Relay: f, Routes: &f.routes, Events: NewEvents(), Token: func() string { return "" }, Metrics: http.NotFoundHandler(),
		Preview: func(context.Context, string) (Picture, error) { return Picture{}, nil },
	})
	for _, path := range []string{
		"/debug/pprof/", "/debug/pprof/goroutine", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/pprof/symbol",
		"/debug/pprof/trace?seconds=0.01", "/api/v1/streams/live/cam/preview",
	} {
		for _, header := range [][]string{
			{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"},
			{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"},
			{"Sec-Fetch-Site", "same-site"},
			{"Origin", "http://evil.example"},
		} {
			w := ask(h, "GET", path, header...)
			if w.Code != http.StatusForbidden {
				t.Errorf("%s %v: got %d", path, header, w.Code)
			}
			problem(t, w)
		}
		if path == "/debug/pprof/profile?seconds=1" { // a second for each
			continue
		}
		for _, header := range [][]string{nil, {"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://127.0.0.1:8081"}} {
			if w := ask(h, "GET", path, header...); w.Code != http.StatusOK {
				t.Errorf("%s %v: got %d", path, header, w.Code)
			}
		}
	}
	if w := ask(h, "GET", "/api/v1/streams", "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusOK {
		t.Errorf("what only reads: got %d", w.Code)
	}
}
