package app

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// visit requests a path of the viewers' address, as a browser or as a program.
func visit(h http.Handler, path string, browser bool) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", "*/*")
	if browser {
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Paths as on other servers lead to those of this relay.
func TestAddressesOfOtherServers(t *testing.T) {
	a := run(t, io.Discard, func(*configs.Config) {})
	h := a.viewersHandler(a.flv)
	for path, want := range map[string]string{
		"/live/cam.m3u8":             "./cam/index.m3u8",
		"/live/cam.m3u8?token=a.b.c": "./cam/index.m3u8?token=a.b.c",
		"/live/cam~360p.m3u8?ll=0":   "./cam~360p/index.m3u8?ll=0",
		"/live/cam.example.m3u8":     "./cam.example/index.m3u8",
		"/live/cam":                  "./cam/",
		"/live/cam.v2":               "./cam.v2/",
	} {
		w := visit(h, path, true)
		if got := w.Header().Get("Location"); w.Code != http.StatusTemporaryRedirect || got != want {
			t.Errorf("%s: got %d to %q, want %q", path, w.Code, got, want)
		}
	}
	for path, want := range map[string]string{"/live/cam.mpd": "DASH", "/live/cam.ts": "MPEG-TS", "/live/cam.mp4": "MP4"} {
		w := visit(h, path, false)
		var said struct{ Error, Hint string }
		if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d %s", path, w.Code, w.Body)
		}
		if said.Error != "streams are not served as "+want || !strings.Contains(said.Hint, "/live/cam/index.m3u8") || !strings.Contains(said.Hint, "/live/cam.flv") {
			t.Errorf("%s: got %+v", path, said)
		}
	}
	for _, path := range []string{"/live/cam.m3u8/", "/live/cam.ts/"} { // a stream may be called that
		if w := visit(h, path, true); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<video") {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
}

// A stream with such a name has its own page.
func TestStreamNamedLikeAFile(t *testing.T) {
	a := run(t, io.Discard, func(*configs.Config) {})
	publishGOPs(t, a, "cam.m3u8", 1, 1000)
	if w := visit(a.viewersHandler(a.flv), "/live/cam.m3u8", true); w.Header().Get("Location") != "./cam.m3u8/" {
		t.Errorf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// The root of the viewers' address explains to people how to reach streams. The response to
// programs has not changed.
func TestFrontPage(t *testing.T) {
	a := run(t, io.Discard, func(*configs.Config) {})
	h := a.viewersHandler(a.flv)
	for _, tt := range []struct {
		path    string
		browser bool
		status  int
		kind    string
	}{
		{"/", true, http.StatusOK, "text/html; charset=utf-8"},
		{"/", false, http.StatusNotFound, "application/json"},
		{"/live", true, http.StatusNotFound, "text/html; charset=utf-8"},
		{"/live", false, http.StatusNotFound, "application/json"},
		{"/a/b/c/d", true, http.StatusNotFound, "text/html; charset=utf-8"},
		{"/favicon.ico", false, http.StatusNotFound, "application/json"},
	} {
		w := visit(h, tt.path, tt.browser)
		if got := w.Header().Get("Content-Type"); w.Code != tt.status || got != tt.kind || w.Header().Get("Vary") != "Accept" {
			t.Errorf("%s, browser %v: %d %s, want %d %s", tt.path, tt.browser, w.Code, got, tt.status, tt.kind)
		}
		if tt.browser && (!strings.Contains(w.Body.String(), "/{app}/{name}/index.m3u8") || w.Header().Get("Content-Security-Policy") == "") {
			t.Errorf("%s: got %v %s", tt.path, w.Header(), w.Body)
		}
	}
}

// Viewers of a pulled stream that does not exist are not told to publish it.
func TestAbsentPull(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := l.Addr().String()
	_ = l.Close() // nothing listens there
	a := run(t, io.Discard, func(cfg *configs.Config) {
		group := configs.Group{Match: "cam/*", Name: "origin", OnDemand: true, Routes: []configs.Route{{Name: "a", URL: "rtmp://" + origin + "/live/{name}"}}, Replay: "edge"}
		group.Redial.Factor, group.Redial.Base, group.Redial.Max = 1, 10_000_000, 10_000_000
		cfg.Pull = []configs.Group{group}
	})
	h := a.viewersHandler(a.flv)
	for path, want := range map[string]string{"/cam/one.flv": "it is pulled from another server", "/live/one.flv": "publish to it first"} {
		w := visit(h, path, false)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), origin) {
			t.Errorf("%s: got %d %s, want %q", path, w.Code, w.Body, want)
		}
	}
}

func TestPulling(t *testing.T) {
	for name, tt := range map[string]struct {
		routes []policy.RouteStatus
		want   string
	}{
		"first dial":    {[]policy.RouteStatus{{State: policy.Dialing}}, "which is being dialed"},
		"up":            {[]policy.RouteStatus{{State: policy.BackingOff, LastFailure: "failed"}, {State: policy.Up}}, "has sent no keyframe yet"},
		"no answer":     {[]policy.RouteStatus{{State: policy.BackingOff, Fails: 1, LastFailure: "timeout"}}, "does not answer in time; the relay dials it again"},
		"again":         {[]policy.RouteStatus{{State: policy.Dialing, Fails: 2, LastFailure: "failed"}}, "cannot be reached; the relay dials it again"},
		"no stream":     {[]policy.RouteStatus{{State: policy.BackingOff, Fails: 1, LastFailure: "rejected"}}, "does not have the stream now"},
		"a broken push": {[]policy.RouteStatus{{State: policy.BackingOff, Fails: 1, LastFailure: "reset"}}, "has ended the connection (reset)"},
		"denied":        {[]policy.RouteStatus{{State: policy.BackingOff, LastFailure: "denied", Denied: true}}, "refuses the pull; the relay has given up"},
		"given up":      {[]policy.RouteStatus{{LastFailure: "failed", GaveUp: true}}, "has given up dialing it"},
		"not begun":     {[]policy.RouteStatus{{}}, "is not connected; the relay dials it again"},
	} {
		if got := describePull(tt.routes); !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "it is pulled from another server, which ") {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
