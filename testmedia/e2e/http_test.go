//go:build unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// httpRequest sends a request without a body and returns the response. It does not read the body of a
// stream, which has no end.
func httpRequest(t *testing.T, method, url string) (status int, header http.Header, body string) {
	t.Helper()
	ctx, cancel := context.WithCancel(waitContext(t))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") == "video/x-flv" {
		return resp.StatusCode, resp.Header, ""
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// TestHTTP checks the headers for browsers and proxies, and the errors for unknown resources.
func TestHTTP(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	p := publish(t, r, "live/cam", gen.Options{})
	p.waitSent(20)
	for _, tt := range []struct {
		method, path string
		status       int
		header       map[string]string
	}{
		{http.MethodGet, "/live/cam.flv", http.StatusOK, map[string]string{
			"Content-Type": "video/x-flv", "Access-Control-Allow-Origin": "*", "X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-store, no-transform",
		}},
		{http.MethodHead, "/live/cam.flv", http.StatusOK, map[string]string{
			"Content-Type": "video/x-flv", "Access-Control-Allow-Origin": "*", "X-Accel-Buffering": "no",
		}},
		{http.MethodOptions, "/live/cam.flv", http.StatusNoContent, map[string]string{"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS"}},
		{http.MethodGet, "/live/other.flv", http.StatusNotFound, map[string]string{
			"Content-Type": "application/json", "Retry-After": "*", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store",
		}},
		{http.MethodHead, "/live/other.flv", http.StatusNotFound, map[string]string{"Retry-After": "*"}},
		{http.MethodPost, "/live/cam.flv", http.StatusMethodNotAllowed, map[string]string{"Allow": "GET, HEAD, OPTIONS", "Content-Type": "application/json"}},
		{http.MethodGet, "/nothing", http.StatusNotFound, map[string]string{"Content-Type": "application/json"}},
		{http.MethodGet, "/live/b%20d.flv", http.StatusNotFound, map[string]string{"Content-Type": "application/json"}},
	} {
		status, header, body := httpRequest(t, tt.method, r.url("http", tt.path))
		if status != tt.status {
			t.Errorf("%s %s: got status %d\n%s", tt.method, tt.path, status, body)
		}
		for key, want := range tt.header {
			if got := header.Get(key); got != want && (want != "*" || got == "") {
				t.Errorf("%s %s: got %s %q, want %q", tt.method, tt.path, key, got, want)
			}
		}
		var problem struct{ Error, Hint string }
		if tt.status >= 400 && tt.method != http.MethodHead {
			if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Error == "" || problem.Hint == "" {
				t.Errorf("%s %s: got %v, %q", tt.method, tt.path, err, body)
			}
		}
	}
}

// TestAdmin checks that health checks, API and metrics answer.
func TestAdmin(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	publish(t, r, "live/cam", gen.Options{}).waitSent(200)
	watchRTMP(t, r, "live/cam").waitKeyframe()
	for path, want := range map[string]string{"/healthz": `"ok"`, "/readyz": `"ready"`, "/": "/metrics", "/debug/pprof/": "goroutine"} {
		if body := fetch(t, r.url("admin", path)); !strings.Contains(body, want) {
			t.Errorf("%s: got %s", path, body)
		}
	}
	if out, err := exec.CommandContext(waitContext(t), relayBinary, "health", "--admin", r.url("admin", "")).CombinedOutput(); err != nil {
		t.Errorf("health: got %v\n%s", err, out)
	}
	var s struct {
		Name, State string
		Tracks      []struct {
			Codec         string
			Width, Height int
		}
		Publisher struct {
			Session, Agent string
			Bitrate        float64
		}
		Viewers map[string]int
	}
	if err := json.Unmarshal([]byte(fetch(t, r.url("admin", "/api/v1/streams/live/cam"))), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "live/cam" || s.State != "live" || s.Publisher.Agent != "e2e/1" || s.Viewers["rtmp"] != 1 ||
		len(s.Tracks) != 2 || s.Tracks[0].Codec != "H.264" || s.Tracks[0].Width != 1280 || s.Tracks[0].Height != 720 {
		t.Errorf("got %+v", s)
	}
	metrics := fetch(t, r.url("admin", "/metrics"))
	for _, series := range []string{
		`holdfast_stream_state{stream="live/cam"} 1`, `holdfast_viewers{protocol="rtmp",stream="live/cam"} 1`,
		`holdfast_publish_breaks_total{cause="silence",protocol="rtmp"} 0`,
	} {
		if !strings.Contains(metrics, series+"\n") {
			t.Errorf("got no series %s", series)
		}
	}
	requirePrograms(t, "promtool")
	lint := exec.CommandContext(waitContext(t), "promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(metrics)
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// event is an event of the event API.
type event struct {
	Type, Stream, Session string
	Fields                map[string]any
	text                  string
}

// followEvents follows the event API.
func (r *relay) followEvents() *list[event] {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	body := get(r.t, ctx, r.url("admin", "/api/v1/events"), http.StatusOK)
	events, done := newList[event](), make(chan struct{})
	lines := bufio.NewScanner(body)
	if !lines.Scan() {
		r.t.Fatal("got no event")
	}
	go func() {
		defer close(done)
		for lines.Scan() {
			var e event
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &e) == nil {
				e.text = data
				events.add(e)
			}
		}
		events.close(lines.Err())
	}()
	r.t.Cleanup(func() {
		cancel()
		_ = body.Close()
		<-done
	})
	return events
}

// TestEvents checks that the events of a stream arrive when they happen, with the right session.
func TestEvents(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	events := r.followEvents()
	at := 0
	expect := func(kind string) event {
		t.Helper()
		i, e, err := events.waitFor(waitContext(t), at, func(e event) bool { return e.Type == kind })
		if err != nil {
			t.Fatalf("wait for %s: %v", kind, err)
		}
		at = i + 1
		return e
	}
	one := publish(t, r, "live/cam", gen.Options{Source: 1})
	first := expect("publish")
	one.waitSent(100)
	one.disconnect()
	if e := expect("break"); e.Session != first.Session || e.Stream != "live/cam" || e.Fields["cause"] != "eof" {
		t.Errorf("got %+v", e)
	}
	two := publish(t, r, "live/cam", gen.Options{Source: 2})
	second := expect("publish")
	if second.Session == first.Session || second.Session == "" {
		t.Errorf("got %+v after %+v", second, first)
	}
	if e := expect("resume"); e.Session != second.Session || e.Fields["cause"] != "eof" || e.Fields["outage_seconds"] == nil {
		t.Errorf("got %+v", e)
	}
	two.waitSent(100)
	two.unpublish()
	if e := expect("break"); e.Session != second.Session || e.Fields["cause"] != "unpublish" {
		t.Errorf("got %+v", e)
	}
	// hold_unpublish is five seconds.
	began := time.Now()
	if e := expect("end"); e.Stream != "live/cam" || time.Since(began) < 4*time.Second {
		t.Errorf("got %+v after %v", e, time.Since(began))
	}
}
