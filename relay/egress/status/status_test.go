package status

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cam = "live/cam"

func TestBoard(t *testing.T) {
	b := NewBoard()
	now := time.Unix(1000, 0)
	if b.Watch(cam) != nil {
		t.Error("got a watcher of an unknown stream")
	}
	b.Set(now, cam, Ended, "")
	if b.Watch(cam) != nil {
		t.Error("a stream was added when it ended")
	}
	b.Set(now, cam, Live, "")
	w := b.Watch(cam)
	s, changed := w.Status(now)
	if s.State != Live || !s.Since.Equal(now) || len(s.Past) != 0 {
		t.Errorf("got status %+v", s)
	}
	b.Set(now.Add(time.Second), cam, Live, "")
	select {
	case <-changed:
		t.Error("got a change for the same state")
	default:
	}
	b.Set(now.Add(2*time.Second), cam, Held, "silence")
	select {
	case <-changed:
	default:
		t.Error("got no change for a hold")
	}
	s, _ = w.Status(now.Add(3 * time.Second))
	if s.State != Held || s.Cause != "silence" || len(s.Past) != 1 || s.Past[0] != (Span{Live, "", now}) || !s.Now.Equal(now.Add(3*time.Second)) {
		t.Errorf("got status %+v", s)
	}
	// The end is reported to existing watchers, and the stream has no new ones.
	b.Set(now.Add(4*time.Second), cam, Ended, "silence")
	if s, _ = w.Status(now.Add(4 * time.Second)); s.State != Ended || len(s.Past) != 2 {
		t.Errorf("got status %+v", s)
	}
	if b.Watch(cam) != nil {
		t.Error("got a watcher of an ended stream")
	}
}

// The past is limited in time and number, and the span that reaches into the last minutes is
// kept.
func TestPast(t *testing.T) {
	b := NewBoard()
	start := time.Unix(1000, 0)
	set := func(now time.Time, i int) {
		b.Set(now, cam, []string{Live, Held}[i%2], "")
	}
	set(start, 0)
	set(start.Add(time.Minute), 1)
	set(start.Add(2*time.Minute), 0)
	s, _ := b.Watch(cam).Status(start.Add(6*time.Minute + 30*time.Second))
	if len(s.Past) != 1 || !s.Past[0].Since.Equal(start.Add(time.Minute)) {
		t.Errorf("got past %+v", s.Past)
	}
	at := start.Add(7 * time.Minute)
	for i := range 4 * maxPast {
		at = at.Add(time.Millisecond)
		set(at, i+1)
	}
	if s, _ = b.Watch(cam).Status(at); len(s.Past) != maxPast {
		t.Errorf("got %d spans", len(s.Past))
	}
}

var (
	errSecret = errors.New("no token")
	errAbsent = errors.New("not there")
)

func serve(t *testing.T) (*Board, *Handler, string) {
	t.Helper()
	b := NewBoard()
	h := New(Options{
		Board: b,
		Admit: func(r *http.Request, app, name string) (string, time.Time, error) {
			if r.URL.Query().Get("token") == "bad" {
				return "", time.Time{}, errSecret
			}
			return app + "/" + name, time.Time{}, nil
		},
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) { http.Error(w, err.Error(), http.StatusTeapot) },
		Absent: func(string) error { return errAbsent },
	})
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		h.Close()
		server.Close()
	})
	return b, h, server.URL
}

func get(t *testing.T, url, accept string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = got.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return got
}

func TestRefused(t *testing.T) {
	_, _, url := serve(t)
	for _, path := range []string{"/live/cam/state?token=bad", "/live/cam/state"} {
		if got := get(t, url+path, ""); got.StatusCode != http.StatusTeapot { //nolint:bodyclose // get closes it
			t.Errorf("%s: got status %d", path, got.StatusCode)
		}
	}
}

func TestOnce(t *testing.T) {
	b, _, url := serve(t)
	b.Set(time.Now(), cam, Held, "reset")
	got := get(t, url+"/live/cam/state", "*/*") //nolint:bodyclose // get closes it
	var s Report
	if err := json.NewDecoder(got.Body).Decode(&s); err != nil || s.State != Held || s.Cause != "reset" || s.Past == nil {
		t.Errorf("got error %v, status %+v", err, s)
	}
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got header %v", got.Header)
	}
}

// Every change is sent until the stream ends, which ends the response, as closing the handler
// does.
func TestEvents(t *testing.T) {
	b, h, url := serve(t)
	b.Set(time.Now(), cam, Live, "")
	follow := func() func() (Report, bool) {
		lines := bufio.NewScanner(get(t, url+"/live/cam/state", "text/event-stream").Body) //nolint:bodyclose // get closes it
		return func() (s Report, ok bool) {
			for lines.Scan() {
				if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
					return s, json.Unmarshal([]byte(data), &s) == nil
				}
			}
			return s, false
		}
	}
	one := follow()
	for _, state := range []string{Live, Held, Live, Ended} {
		b.Set(time.Now(), cam, state, "")
		if s, ok := one(); !ok || s.State != state {
			t.Errorf("got %+v, want %s", s, state)
		}
	}
	if _, ok := one(); ok {
		t.Error("got an event after the end")
	}
	b.Set(time.Now(), cam, Live, "")
	other := follow()
	if _, ok := other(); !ok {
		t.Error("got no event for a new stream of the same name")
	}
	h.Close()
	if _, ok := other(); ok {
		t.Error("got an event after Close")
	}
}

func TestMatch(t *testing.T) {
	for path, want := range map[string]string{
		"/live/cam/state": cam, "/live/state": "", "/live/cam/state/": "", "/live/cam/": "", "//cam/state": "", "/a/b/c/state": "",
	} {
		app, name, ok := Match(path)
		if ok != (want != "") || ok && app+"/"+name != want {
			t.Errorf("Match(%s) = %s, %s, %v", path, app, name, ok)
		}
	}
}

// A client receives events only until its token expires.
func TestEventsEndWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board := NewBoard()
		board.Set(time.Now(), "live/cam", Live, "")
		h := New(Options{Board: board, Admit: func(*http.Request, string, string) (string, time.Time, error) {
			return "live/cam", time.Now().Add(time.Minute), nil
		}})
		defer h.Close()
		r := httptest.NewRequest(http.MethodGet, "/live/cam/state", nil)
		r.Header.Set("Accept", "text/event-stream")
		begun := time.Now()
		h.ServeHTTP(&unlimited{httptest.NewRecorder()}, r)
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("got events for %v, want a minute", took)
		}
	})
}

// unlimited is a response that accepts write deadlines.
type unlimited struct{ *httptest.ResponseRecorder }

// SetWriteDeadline is used by http.ResponseController.
func (*unlimited) SetWriteDeadline(time.Time) error { return nil }
