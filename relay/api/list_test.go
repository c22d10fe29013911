package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// many is a relay with streams live/0 to live/9, of which the last ends while they are listed.
type many struct{ fake }

func (m *many) Briefs() (out []Brief) {
	for i := range 10 {
		out = append(out, Brief{Name: fmt.Sprintf("live/%d", i), State: "live", Viewers: i})
	}
	for i, state := range map[int]string{3: "suspect", 5: "held", 7: "held"} {
		out[i].State = state
	}
	return out
}

func (m *many) Stream(name string) (Stream, bool) { return Stream{Name: name}, name != "live/9" }

func TestPages(t *testing.T) {
	h := New(Options{Relay: &many{}, Routes: &fakeRoutes{}, Events: NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return "" }})
	var names []string
	after := ""
	for pages := 1; ; pages++ {
		var got struct {
			Streams []Stream
			Next    *string
		}
		w := ask(h, "GET", "/api/v1/streams?limit=4&after="+after)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Streams) > 4 {
			t.Fatalf("%v: got %d %s", err, w.Code, w.Body)
		}
		for _, s := range got.Streams {
			names = append(names, s.Name)
		}
		if got.Next == nil {
			if pages != 3 || strings.Join(names, " ") != "live/0 live/1 live/2 live/3 live/4 live/5 live/6 live/7 live/8" {
				t.Errorf("%d pages: got %q", pages, names)
			}
			break
		}
		after = *got.Next
	}
	for _, wrong := range []string{"limit=0", "limit=-1", "limit=1001", "limit=all", "skip=-1", "skip=x", "order=size"} {
		w := ask(h, "GET", "/api/v1/streams?"+wrong)
		if w.Code != 400 {
			t.Errorf("%s: got %d", wrong, w.Code)
		}
		problem(t, w)
	}
	if w := ask(h, "GET", "/api/v1/streams?after=live/7"); strings.Count(w.Body.String(), `"name"`) != 1 {
		t.Errorf("got %s", w.Body)
	}
}

// Broken streams come first: held ones, then suspect ones, then those with a broken push or
// pull. Streams of one kind are sorted by name, across pages.
func TestTroubleComesFirst(t *testing.T) {
	routes := &fakeRoutes{lines: []Line{{Stream: "live/7", Down: true}, {Stream: "live/8", Down: true}, {Stream: "live/8", Group: "b", Down: true}, {Stream: "live/6", Down: true}, {Stream: "live/1"}}}
	h := New(Options{Relay: &many{}, Routes: routes, Events: NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return "" }})
	for query, want := range map[string]string{
		"order=trouble":                "7 5 3 8 6 0 1 2 4",
		"order=trouble&limit=4":        "7 5 3 8",
		"order=trouble&limit=4&skip=0": "7 5 3 8",
		"order=trouble&limit=4&skip=4": "6 0 1 2",
		"order=trouble&limit=4&skip=8": "4",
		"order=trouble&skip=50":        "",
		"order=trouble&search=VE/7":    "7",
		"search=none":                  "",
		"order=name&limit=2&skip=3":    "3 4",
	} {
		var got Listing
		w := ask(h, "GET", "/api/v1/streams?"+query)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.Streams == nil {
			t.Fatalf("%s: got %v: %d %s", query, err, w.Code, w.Body)
		}
		var names []string
		for _, s := range got.Streams {
			names = append(names, strings.TrimPrefix(s.Name, "live/"))
			if want := map[string]int{"live/8": 2, "live/7": 1, "live/6": 1}[s.Name]; s.RoutesDown != want {
				t.Errorf("%s: of %s %d routes are down", query, s.Name, s.RoutesDown)
			}
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s: got %q", query, names)
		}
		is := got.Totals
		if is.Streams != 10 || is.Viewers != 45 || is.States["held"] != 2 || is.States["live"] != 7 || strings.Contains(query, "=none") && is.Matching != 0 || !strings.Contains(query, "search") && is.Matching != 10 {
			t.Errorf("%s: got %+v", query, is)
		}
	}
}

// A stream that a pull should start, and does not, is listed as absent.
func TestAbsentStreams(t *testing.T) {
	routes := &fakeRoutes{lines: []Line{
		{Stream: "cam/two", Group: "b", Down: true},
		{Stream: "cam/two", Group: "a", Down: true},
		{Stream: "cam/one", Group: "a", Down: true},
		{Stream: "cam/up", Group: "a"},
		{Stream: "cam/gone", Group: "cdn", Down: true, Push: true},
		{Stream: "live/7", Group: "a", Down: true},
	}}
	h := New(Options{Relay: &many{}, Routes: routes, Events: NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return "" }})
	var got Listing
	w := ask(h, "GET", "/api/v1/streams?limit=2&search=live")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || strings.Join(got.Absent, " ") != "cam/one cam/two" {
		t.Errorf("%v: got %s", err, w.Body)
	}
}
