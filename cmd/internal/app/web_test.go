package app

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
)

// The address of a viewer is never one that the viewer itself has forged.
func TestRemote(t *testing.T) {
	s := &settings{}
	s.cfg.Store(&configs.Config{HTTP: configs.HTTP{TrustedProxies: []string{"192.0.2.1", "10.0.0.0/8", "2001:db8::/32"}}})
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "198.51.100.7:5000", nil, "198.51.100.7:5000"},
		{"no proxy, spoofed", "198.51.100.7:5000", []string{"203.0.113.9"}, "198.51.100.7:5000"},
		{"proxy", "192.0.2.1:5000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"proxy, silent", "192.0.2.1:5000", nil, "192.0.2.1:5000"},
		{"proxy, empty", "192.0.2.1:5000", []string{""}, "192.0.2.1:5000"},
		{"spoofed on the left", "192.0.2.1:5000", []string{"1.1.1.1, 10.9.9.9, 203.0.113.9"}, "203.0.113.9:0"},
		{"two proxies", "192.0.2.1:5000", []string{"203.0.113.9, 10.1.2.3"}, "203.0.113.9:0"},
		{"several headers", "192.0.2.1:5000", []string{"1.1.1.1", "203.0.113.9", "10.1.2.3"}, "203.0.113.9:0"},
		{"spoofed in a header of its own", "192.0.2.1:5000", []string{"10.1.2.3", "203.0.113.9"}, "203.0.113.9:0"},
		{"nothing but proxies", "192.0.2.1:5000", []string{"10.1.2.3, 10.1.2.4"}, "10.1.2.3:0"},
		{"IPv6", "[2001:db8::1]:5000", []string{"2001:db9::7"}, "[2001:db9::7]:0"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:5000", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"garbage", "192.0.2.1:5000", []string{"unknown"}, "192.0.2.1:5000"},
		{"garbage left of a proxy", "192.0.2.1:5000", []string{"<script>, 10.1.2.3"}, "10.1.2.3:0"},
		{"with a port", "192.0.2.1:5000", []string{"203.0.113.9:80"}, "192.0.2.1:5000"},
		{"a peer that has no address", "pipe", []string{"203.0.113.9"}, "pipe"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/live/cam.flv", nil)
		r.RemoteAddr = tt.peer
		r.Header["X-Forwarded-For"] = tt.forwarded
		if got := s.remote(r); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRefuse(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		header map[string]string
	}{
		{"not live", &ingest.Refusal{NotLive: true, Reason: "r", Hint: "h", RetryAfter: 2 * time.Second}, 404, map[string]string{"Retry-After": "2"}},
		{"name", &ingest.Refusal{Outcome: ingest.RefusedName, Reason: "r", Hint: "h"}, 404, map[string]string{"Retry-After": ""}},
		{"token", &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "r", Hint: "h"}, 401, map[string]string{"WWW-Authenticate": `Bearer realm="holdfast"`}},
		{"limit", &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "r", Hint: "h", RetryAfter: 1001 * time.Millisecond}, 503, map[string]string{"Retry-After": "2"}},
		{"anything else", errors.New("secret details"), 503, map[string]string{"Retry-After": "1"}},
	} {
		w := httptest.NewRecorder()
		refuse(w, nil, tt.err)
		if w.Code != tt.status || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %v", tt.name, w.Code, w.Header())
		}
		for key, want := range tt.header {
			if got := w.Header().Get(key); got != want {
				t.Errorf("%s: %s is %q", tt.name, key, got)
			}
		}
		var p struct{ Error, Hint string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Error == "" || p.Hint == "" || p.Error == "secret details" {
			t.Errorf("%s: got %v, %q", tt.name, err, w.Body)
		}
	}
}

func TestViewersHandler(t *testing.T) {
	played := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/live/cam.flv", 418, ""},
		{"HEAD", "/live/cam.flv", 418, ""},
		{"OPTIONS", "/live/cam.flv", 204, ""},
		{"POST", "/live/cam.flv", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/live/cam.flv", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/", 404, ""},
		{"GET", "/live/cam", 307, ""},
		{"GET", "/live/cam/", 200, ""},
		{"GET", "/live/a%20b/", 404, ""}, // no name that a stream can have
		{"HEAD", "/live/cam/", 200, ""},
		{"POST", "/live/cam/", 405, "GET, HEAD, OPTIONS"},
		{"POST", "/live/cam/whip", 404, ""}, // without sockets there is no WebRTC
		{"POST", "/live/cam/whep", 404, ""},
		{"POST", "/live/cam/index.m3u8", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/live/cam/media.m3u8", 204, ""},
		{"OPTIONS", "/", 404, ""},
	} {
		w := httptest.NewRecorder()
		(&App{}).viewersHandler(played).ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		h := w.Header()
		if w.Code != tt.status || h.Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d %v", tt.method, tt.path, w.Code, h)
		}
		if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") == "" || h.Get("Access-Control-Expose-Headers") == "" {
			t.Errorf("%s %s: CORS: %v", tt.method, tt.path, h)
		}
	}
}
