package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// logOf requests a stream's event log.
func logOf(t *testing.T, h http.Handler, path string) (out struct {
	Stream    string
	Events    []LogEntry
	Forgotten int
},
) {
	t.Helper()
	w := ask(h, "GET", "/api/v1/streams/"+path)
	if err := json.Unmarshal(w.Body.Bytes(), &out); w.Code != 200 || err != nil {
		t.Fatalf("%s: got %d %s", path, w.Code, w.Body)
	}
	return out
}

func storied() (*Events, http.Handler) {
	e := NewEvents()
	return e, New(Options{Relay: &fake{}, Routes: &fakeRoutes{}, Events: e, Metrics: http.NotFoundHandler(), Token: func() string { return "" }})
}

func TestLog(t *testing.T) {
	events, h := storied()
	began := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	for i, kind := range []string{"publish", "break", "resume", "end"} {
		events.Publish(Event{
			Time: began.Add(time.Duration(i) * time.Minute), Type: kind, Stream: "live/cam", Session: "s1",
			Fields: map[string]any{"cause": "eof", "detail": "why", "protocol": "rtmp"},
		})
		events.Publish(Event{Time: began, Type: kind, Stream: "live/other"})
	}
	got := logOf(t, h, "live/cam/log")
	if len(got.Events) != 4 || got.Stream != "live/cam" || got.Forgotten != 0 {
		t.Fatalf("got %+v", got)
	}
	second := got.Events[1]
	if second.ID != 3 || second.Kind != "break" || second.Session != "s1" || second.Cause != "eof" || second.Detail != "why" ||
		second.Fields["protocol"] != "rtmp" || len(second.Fields) != 1 || !second.Time.Equal(began.Add(time.Minute)) {
		t.Errorf("got %+v", second)
	}
	at := func(minutes int) string { return began.Add(time.Duration(minutes) * time.Minute).Format(time.RFC3339) }
	for query, want := range map[string]string{
		"":                                    "publish break resume end",
		"?since=" + at(1):                     "break resume end",
		"?until=" + at(1):                     "publish break",
		"?since=" + at(1) + "&until=" + at(2): "break resume",
		"?limit=2":                            "resume end",
		"?until=" + at(2) + "&limit=1":        "resume",
		"?since=2h&until=58m30s":              "publish break",
		"?since=" + at(9):                     "",
	} {
		var kinds []string
		for _, e := range logOf(t, h, "live/cam/log"+query).Events {
			kinds = append(kinds, e.Kind)
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	for path, status := range map[string]int{
		"live/none/log": 404, "live/cam/log?since=yesterday": 400, "live/cam/log?until=-1h": 400, "live/cam/log?limit=0": 400, "live/cam/log?limit=501": 400,
	} {
		w := ask(h, "GET", "/api/v1/streams/"+path)
		if w.Code != status {
			t.Errorf("%s: got %d", path, w.Code)
		}
		problem(t, w)
	}
}

// A log is limited in events and bytes, and the number of logs and their age are limited.
func TestLogLimits(t *testing.T) {
	events, h := storied()
	now := time.Now()
	for range maxLogEntries + 7 {
		events.Publish(Event{Time: now, Type: "state", Stream: "live/many"})
		events.Publish(Event{Time: now, Type: "state", Stream: "live/long", Fields: map[string]any{"detail": strings.Repeat("x", 1000)}})
	}
	if got := logOf(t, h, "live/many/log"); len(got.Events) != maxLogEntries || got.Forgotten != 7 || got.Events[0].ID != 15 {
		t.Errorf("got %d events, %d forgotten", len(got.Events), got.Forgotten)
	}
	long := ask(h, "GET", "/api/v1/streams/live/long/log").Body.Len()
	if long > maxLogBytes+1000 || long < maxLogBytes-2000 {
		t.Errorf("got %d bytes", long)
	}
	for i := range maxLogs - 1 {
		events.Publish(Event{Time: now, Type: "publish", Stream: fmt.Sprintf("live/%d", i)})
	}
	if ask(h, "GET", "/api/v1/streams/live/many/log").Code != 404 || ask(h, "GET", "/api/v1/streams/live/long/log").Code != 200 {
		t.Error("the log that was dropped is not the oldest")
	}
	events.Publish(Event{Time: now.Add(logTTL), Type: "publish", Stream: "live/new"})
	if got := events.log.recent.Len(); got != 1 || len(events.log.byName) != 1 {
		t.Errorf("got %d logs a day later", got)
	}
}

// Clients without access neither create a log nor fill one.
func TestLogOfRejectedClients(t *testing.T) {
	events, h := storied()
	now := time.Now()
	events.Note(Event{Time: now, Type: "refused", Stream: "live/none"})
	events.Publish(Event{Time: now, Type: "publish", Stream: "live/cam"})
	for range 100 {
		events.Note(Event{Time: now, Type: "refused", Stream: "live/cam"})
	}
	events.Note(Event{Time: now.Add(noteInterval), Type: "refused", Stream: "live/cam"})
	if got := logOf(t, h, "live/cam/log"); len(got.Events) != 3 {
		t.Errorf("got %+v", got)
	}
	if got := ask(h, "GET", "/api/v1/streams/live/none/log").Code; got != 404 {
		t.Error(got)
	}
}

// Repeated rejections do not push other events out of the log.
func TestLogOfRefusals(t *testing.T) {
	for name, add := range map[string]func(*Events, Event){"noted": (*Events).Note, "told": (*Events).Publish} {
		events, h := storied()
		now := time.Now()
		events.Publish(Event{Time: now, Type: "publish", Stream: "live/cam"})
		for range maxLogEntries {
			now = now.Add(noteInterval)
			add(events, Event{Time: now, Type: "refused", Stream: "live/cam", Fields: map[string]any{"detail": strings.Repeat("x", 300)}})
		}
		events.Publish(Event{Time: now, Type: "break", Stream: "live/cam"})
		got := logOf(t, h, "live/cam/log")
		if n := len(got.Events); n != maxLogRefusals+2 || got.Forgotten != maxLogEntries-maxLogRefusals {
			t.Fatalf("%s: got %d events, %d forgotten", name, n, got.Forgotten)
		}
		if first, oldest := got.Events[0], got.Events[1]; first.Kind != "publish" || now.Sub(oldest.Time) != (maxLogRefusals-1)*noteInterval {
			t.Errorf("%s: got %+v, %+v", name, first, oldest)
		}
	}
}
