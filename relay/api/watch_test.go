package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The operator gets a token for a stream that requires one; pages of other sites do not.
func TestWatchPass(t *testing.T) {
	until := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	h := New(Options{Relay: &fake{}, Events: NewEvents(), Token: func() string { return "" }, Metrics: http.NotFoundHandler(), Pass: func(stream string) (string, time.Time, error) {
		switch stream {
		case "live/cam":
			return "a.b.c", until, nil
		case "live/open":
			return "", time.Time{}, nil
		}
		return "", time.Time{}, errors.New("no such name")
	}})
	for path, want := range map[string]string{
		"live/cam":  `{"expires":"2030-01-02T03:04:05Z","token":"a.b.c"}`,
		"live/open": `{"token":""}`,
	} {
		if w := ask(h, "POST", "/api/v1/streams/"+path+"/watch"); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: got %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if w := ask(h, "POST", "/api/v1/streams/live/x/watch"); w.Code != http.StatusNotFound {
		t.Errorf("a wrong name: got %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/api/v1/streams/live/cam/watch"); w.Code != http.StatusMethodNotAllowed || strings.Contains(w.Body.String(), "a.b.c") {
		t.Errorf("a GET: got %d %s", w.Code, w.Body)
	}
}
