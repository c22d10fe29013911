package sse

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// answer is an http.ResponseWriter with deadlines, whose writes fail once failing is set.
type answer struct {
	*httptest.ResponseRecorder
	failing  error
	deadline time.Time
}

func (a *answer) SetWriteDeadline(t time.Time) error {
	a.deadline = t
	return nil
}

func (a *answer) Write(b []byte) (int, error) {
	if a.failing != nil {
		return 0, a.failing
	}
	return a.ResponseRecorder.Write(b)
}

func TestWriter(t *testing.T) {
	a := &answer{ResponseRecorder: httptest.NewRecorder()}
	s := NewWriter(a)
	s.Comment("hello")
	s.Event("7", "break", `{"a":1}`)
	s.Event("", "", "{}")
	if err := s.Flush(); err != nil || !a.Flushed {
		t.Fatalf("flush: %v, flushed %v", err, a.Flushed)
	}
	const want = ": hello\n\nid: 7\nevent: break\ndata: {\"a\":1}\n\ndata: {}\n\n"
	if got := a.Body.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := a.Header().Get("Content-Type"); got != "text/event-stream" || a.Header().Get("X-Accel-Buffering") != "no" {
		t.Errorf("header %v, want that of an event stream which proxies do not buffer", a.Header())
	}
	if left := time.Until(a.deadline); left <= 0 || left > writeTimeout {
		t.Errorf("a write has %v, want at most %v", left, writeTimeout)
	}
	a.failing = errors.New("gone")
	s.Event("", "", "lost")
	a.failing = nil
	s.Event("", "", "late")
	if err := s.Flush(); err == nil || a.Body.String() != want {
		t.Errorf("after an error: got %v and %q, want the error and nothing more", err, a.Body.String())
	}
}

var _ http.ResponseWriter = (*answer)(nil)
