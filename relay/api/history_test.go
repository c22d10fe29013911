package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
	"unsafe"
)

func TestHistories(t *testing.T) {
	h := NewHistories([]string{"rtmp", "hls"})
	begin := time.Unix(1_800_000_000, 0)
	at := func(step int, s Stream) { h.Sample(begin.Add(time.Duration(step)*HistoryStep), []Stream{s}, nil) }
	s := Stream{Name: "live/cam", State: "live", Publisher: &Publisher{Bitrate: 1000, FrameRate: 25, Gap: 0.5}, Viewers: map[string]int{"hls": 3, "whep": 9}}
	at(0, s)
	at(1, s)
	s.Publisher, s.State = nil, "held"
	at(1, s) // replaces the sample of the same step
	at(4, s)
	got := h.read("live/cam")
	if len(got.State) != 5 || got.State[0] != "live" || got.State[1] != "held" || got.State[2] != "" || got.State[4] != "held" {
		t.Errorf("states %q", got.State)
	}
	if !got.Start.Equal(begin) || got.Bitrate[0] != 1000 || got.FPS[0] != 25 || got.Gap[0] != 0.5 || got.Bitrate[1] != 0 {
		t.Errorf("got %+v", got)
	}
	if len(got.Viewers) != 2 || got.Viewers["hls"][4] != 3 || got.Viewers["hls"][3] != 0 {
		t.Errorf("viewers %v", got.Viewers)
	}
	for step := 5; step < 3*maxSamples; step++ {
		at(step, s)
	}
	at(10*maxSamples, s) // after the machine was suspended
	got = h.read("live/cam")
	if len(got.State) != maxSamples || got.State[maxSamples-1] != "held" || got.State[maxSamples-2] != "" {
		t.Errorf("%d states: got %q", len(got.State), got.State)
	}
	if most := uintptr(cap(h.streams["live/cam"].samples)) * unsafe.Sizeof(sample{}); most > 32<<10 {
		t.Errorf("a stream's history holds %d bytes", most)
	}
	h.Sample(begin, nil, nil)
	if len(h.streams) != 0 {
		t.Error("history of a stream that no longer exists was kept")
	}
}

// The lags of a stream's pushes are kept by group, as far as there is room. The slot of a group
// that no longer exists is reused when its last sample has left the history.
func TestLagsAreKept(t *testing.T) {
	h := NewHistories(nil)
	begin, all := time.Unix(1_800_000_000, 0), []Stream{{Name: "live/cam", State: "live"}}
	at := func(step int, groups ...string) {
		var lines []Line
		for i, g := range groups {
			lines = append(lines, Line{Stream: "live/cam", Group: g, Push: true, Lag: float64(step) + float64(i)/8})
		}
		h.Sample(begin.Add(time.Duration(step)*HistoryStep), all, append(lines, Line{Stream: "live/other", Group: "z", Push: true}))
	}
	at(0)
	at(1, "a", "b")
	at(2, "b")
	at(4, "b", "c", "d", "e", "f", "g", "h", "i")
	got := h.read("live/cam").Lag
	if len(got) != maxGroups || got["i"] != nil || len(got["a"]) != 5 {
		t.Fatalf("groups %v", got)
	}
	b := got["b"]
	if len(b) != 5 || b[0] != nil || *b[1] != 1.125 || *b[2] != 2 || b[3] != nil || *b[4] != 4 {
		t.Errorf("lags %v", b)
	}
	at(5, "j")
	if got := h.read("live/cam").Lag; got["j"] != nil {
		t.Error("a group in the history lost its slot")
	}
	at(maxSamples + 1) // the sample of a leaves the history
	at(maxSamples+2, "j")
	if got := h.read("live/cam").Lag; got["a"] != nil || got["j"] == nil || *got["j"][maxSamples-1] != maxSamples+2 {
		t.Error("the free slot was not reused")
	}
}

func TestHistory(t *testing.T) {
	f := &fake{pushing: true}
	events, histories := NewEvents(), NewHistories([]string{"rtmp"})
	o := Options{Relay: f, Routes: &f.routes, Events: events, Histories: histories, Token: func() string { return "" }, Metrics: http.NotFoundHandler()}
	read := func() (out History) {
		t.Helper()
		w := ask(New(o), "GET", "/api/v1/streams/live/cam/history")
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d, %v: got %s", w.Code, err, w.Body)
		}
		return out
	}
	if got := read(); len(got.State) != 0 || len(got.Spans) != 1 || got.Spans[0].State != "live" || got.Spans[0].Until != nil {
		t.Errorf("of a new stream: got %+v", got)
	}
	now := time.Now()
	histories.Sample(now, f.Streams(), []Line{{Stream: "live/cam", Group: "cdn", Push: true, Lag: 0.25}, {Stream: "live/cam", Group: "in"}})
	states := func(ago time.Duration, from, to, cause string) {
		events.Publish(Event{Time: now.Add(-ago), Type: "state", Stream: "live/cam", Fields: map[string]any{"from": from, "to": to, "cause": cause}})
	}
	states(time.Hour, "idle", "live", "")
	states(time.Minute, "live", "held", "reset")
	states(time.Second, "held", "live", "")
	got := read()
	if len(got.State) != 1 || len(got.Spans) != 3 || len(got.Lag) != 1 || len(got.Lag["cdn"]) != 1 || *got.Lag["cdn"][0] != 0.25 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []Span{{State: "live"}, {State: "held", Cause: "reset"}, {State: "live"}} {
		if s := got.Spans[i]; s.State != want.State || s.Cause != want.Cause || (s.Until == nil) != (i == 2) {
			t.Errorf("span %d is %+v", i, s)
		}
	}
	if w := ask(New(o), "GET", "/api/v1/streams/live/other/history"); w.Code != http.StatusNotFound {
		t.Errorf("of no stream: got %d", w.Code)
	}
}
