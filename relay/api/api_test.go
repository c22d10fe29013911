package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a relay with one stream, live/cam.
type fake struct {
	ready   error
	pushing bool
	kicked  []string
	capped  []float64
	rate    float64
	routes  fakeRoutes
}

func (f *fake) stream() Stream {
	return Stream{
		Name: "live/cam", State: "live", Tracks: []Track{}, Viewers: map[string]int{}, Breaks: map[string]int{},
		Publisher: &Publisher{Session: "s1", Bitrate: f.rate},
	}
}

func (f *fake) Streams() []Stream { return []Stream{f.stream()} }

func (f *fake) Briefs() []Brief { return []Brief{{Name: "live/cam", State: "live"}} }

func (f *fake) Stream(name string) (Stream, bool) { return f.stream(), name == "live/cam" }

func (f *fake) Kick(name string) bool {
	if name != "live/cam" || !f.pushing {
		return false
	}
	f.kicked = append(f.kicked, name)
	return true
}

func (f *fake) Cap(name string, bits float64) (asked, ok bool) {
	if name != "live/cam" {
		return false, false
	}
	f.capped = append(f.capped, bits)
	return f.pushing, true
}

func (f *fake) Ready() error { return f.ready }

func handler(f *fake, token string) http.Handler {
	return New(Options{
		Relay: f, Routes: &f.routes, Events: NewEvents(), Version: "v1.2.3", Token: func() string { return token },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) }),
	})
}

// ask sends a request whose header is pairs of key and value.
func ask(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, nil)
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problem fails the test unless the response has an error and a hint.
func problem(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var p struct{ Error, Hint string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Error == "" || p.Hint == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v, %v: got %q", err, w.Header(), w.Body)
	}
}

func TestRoutes(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/", 200, "v1.2.3"},
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, `{"status":"ready"}`},
		{"GET", "/metrics", 200, "metrics"},
		{"GET", "/api/v1/streams", 200, `{"streams":[{"name":"live/cam"`},
		{"GET", "/api/v1/streams/live/cam", 200, `"publisher":{"session":"s1"`},
		{"GET", "/api/v1/streams/live/none", 404, "there is no stream live/none"},
		{"GET", "/api/v1/streams/live/a%2Fb", 404, "there is no stream live/a/b"},
		{"GET", "/api/v1/streams/live", 404, "not found"},
		{"DELETE", "/api/v1/streams/live/cam/publisher", 204, ""},
		{"DELETE", "/api/v1/streams/live/none/publisher", 404, "no publisher on live/none"},
		{"GET", "/debug/pprof/", 200, "goroutine"},
		{"GET", "/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"GET", "/debug/pprof/cmdline", 200, ""},
		{"GET", "/nothing", 404, "not found"},
		{"POST", "/api/v1/streams", 405, "use GET, HEAD"},
		{"GET", "/api/v1/streams/live/cam/publisher", 405, "use DELETE"},
		{"DELETE", "/api/v1/streams/live/cam", 405, "use GET, HEAD"},
		{"POST", "/", 405, "use GET, HEAD"},
		{"POST", "/nothing", 404, "not found"},
	} {
		t.Run(tt.method+tt.path, func(t *testing.T) {
			w := ask(handler(&fake{pushing: true}, ""), tt.method, tt.path)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if tt.status >= 400 {
				problem(t, w)
			}
			if tt.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	w := ask(handler(&fake{ready: errors.New("not yet")}, ""), "GET", "/readyz")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "not yet") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	problem(t, w)
}

// Everything except the probes requires the token.
func TestToken(t *testing.T) {
	h := handler(&fake{pushing: true}, "s3cret")
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := ask(h, "GET", path); w.Code != 200 {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
	for _, route := range []string{
		"GET /", "GET /metrics", "GET /api/v1/streams", "GET /api/v1/streams/live/cam", "GET /api/v1/events", "GET /debug/pprof/",
		"GET /debug/pprof/heap", "GET /debug/pprof/profile", "GET /nothing", "DELETE /api/v1/streams/live/cam/publisher", "POST /healthz",
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "s3cret", "Basic s3cret", "Bearer  s3cret"} {
			w := ask(h, method, path, "Authorization", wrong)
			if w.Code != 401 || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s with %q: %d", route, wrong, w.Code)
			}
			problem(t, w)
		}
	}
	for _, right := range []string{"Bearer s3cret", "bearer s3cret"} {
		w := ask(h, "GET", "/api/v1/streams", "Authorization", right)
		if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: got %d, %v", right, w.Code, w.Header())
		}
	}
}

// A page of another site cannot make the operator's browser kick a publisher.
func TestOtherSites(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"no browser", nil, 204},
		{"same origin", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8081"}, 204},
		{"other site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"}, 403},
		{"same site", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://relay:9999"}, 403},
		{"old browser", []string{"Origin", "http://evil.example"}, 403},
	} {
		f := &fake{pushing: true}
		w := ask(handler(f, ""), "DELETE", "/api/v1/streams/live/cam/publisher", tt.header...)
		if w.Code != tt.status || (len(f.kicked) > 0) != (tt.status == 204) {
			t.Errorf("%s: got %d, kicked %v", tt.name, w.Code, f.kicked)
		}
		if tt.status == 403 {
			problem(t, w)
		}
	}
}

// A number that JSON cannot represent is an error, not half a response.
func TestNotANumber(t *testing.T) {
	w := ask(handler(&fake{rate: math.NaN()}, ""), "GET", "/api/v1/streams")
	if w.Code != 500 {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	problem(t, w)
}

func TestHostNamesAreRejectedWithoutToken(t *testing.T) {
	for host, want := range map[string]int{
		"127.0.0.1:8081": 200, "[::1]:8081": 200, "[::1]": 200, "localhost:8081": 200, "localhost": 200,
		"rebound.example:8081": 403, "localhost.example": 403, "": 403,
	} {
		for _, token := range []string{"", "hush"} {
			h := New(Options{Relay: &fake{}, Routes: &fakeRoutes{}, Events: NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return token }})
			r := httptest.NewRequest(http.MethodGet, "/api/v1/streams", nil)
			r.Host = host
			r.Header.Set("Authorization", "Bearer hush")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Code; token == "" && got != want || token != "" && got != 200 {
				t.Errorf("Host %q, token %q: %d", host, token, got)
			}
		}
	}
}

// The console's page is served without the token, and nothing else is.
func TestConsole(t *testing.T) {
	h := handler(&fake{}, "s3cret")
	for path, status := range map[string]int{"/": 200, "/console/app.js": 200, "/console/none.js": 404, "/api/v1/streams": 401, "/api/v1/relay": 401, "/metrics": 401} {
		if w := ask(h, "GET", path, "Accept", "text/html,*/*"); w.Code != status || status == 200 && w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
	if w := ask(h, "GET", "/"); w.Code != http.StatusUnauthorized {
		t.Errorf("for programs: got %d", w.Code)
	}
	if w := ask(h, "POST", "/", "Accept", "text/html"); w.Code != http.StatusUnauthorized {
		t.Errorf("a POST: got %d", w.Code)
	}
}

func TestDrain(t *testing.T) {
	f := &fake{}
	begun := 0
	o := Options{Relay: f, Routes: &f.routes, Events: NewEvents(), Token: func() string { return "" }, Metrics: http.NotFoundHandler(), Drain: func() { begun++ }}
	if w := ask(New(o), "POST", "/api/v1/drain", "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden || begun != 0 {
		t.Errorf("from another site: got %d, %d", w.Code, begun)
	}
	if w := ask(New(o), "POST", "/api/v1/drain"); w.Code != http.StatusAccepted || begun != 1 {
		t.Errorf("got %d, %d", w.Code, begun)
	}
	problem(t, ask(handler(f, ""), "POST", "/api/v1/drain"))
}
