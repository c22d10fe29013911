package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The operator is given a token for a stream that needs one, and pages of other sites are not.
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
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	if w := ask(h, "POST", "/api/v1/streams/live/x/watch"); w.Code != http.StatusNotFound {
		t.Errorf("a wrong name: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/api/v1/streams/live/cam/watch"); w.Code != http.StatusMethodNotAllowed || strings.Contains(w.Body.String(), "a.b.c") {
		t.Errorf("a GET: %d %s", w.Code, w.Body)
	}
}
