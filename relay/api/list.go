package api

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxPageSize is the maximum number of streams in one page.
const maxPageSize = 1000

// Brief is a stream in short form.
type Brief struct {
	Name, State string
	Viewers     int
}

// Listing is a page of the list of streams.
type Listing struct {
	Streams []Stream `json:"streams"`
	Next    string   `json:"next,omitempty"` // value of the query parameter "after" for the next page, if any
	Totals  Totals   `json:"totals"`
	// Absent lists the streams that a pull should start but that do not exist. It does not depend on
	// the query.
	Absent []string `json:"absent,omitempty"`
}

// Totals are totals over all streams.
type Totals struct {
	Streams  int            `json:"streams"`
	Matching int            `json:"matching"` // number of streams that match the query
	States   map[string]int `json:"states"`
	Viewers  int            `json:"viewers"`
}

// listQuery is a query for streams.
type listQuery struct {
	limit, skip   int // limit 0 means all
	after, search string
	trouble       bool // list broken streams first
}

// parseListQuery parses a query. If the query is invalid, it returns the error in wrong, and a hint.
func parseListQuery(q url.Values) (w listQuery, wrong, hint string) {
	w.after, w.search = q.Get("after"), strings.ToLower(q.Get("search"))
	for _, n := range []struct {
		name        string
		into        *int
		least, most int
	}{{"limit", &w.limit, 1, maxPageSize}, {"skip", &w.skip, 0, 1_000_000}} {
		text := q.Get(n.name)
		if text == "" {
			continue
		}
		var err error
		if *n.into, err = strconv.Atoi(text); err != nil || *n.into < n.least || *n.into > n.most {
			return w, n.name + " is not a number of streams", fmt.Sprintf("write %d to %d", n.least, n.most)
		}
	}
	switch order := q.Get("order"); order {
	case "", "name":
	case "trouble":
		w.trouble = true
	default:
		return w, "there is no order " + order, "write name or trouble"
	}
	return w, "", ""
}

// stateRank is the sort order of states, broken ones first.
var stateRank = map[string]int{"held": 0, "suspect": 1, "idle": 2, "live": 3, "ended": 4}

// choose returns the names of the streams to list, in order, and where the next page starts.
func (w listQuery) choose(all []Brief, down map[string]int) (names []string, next string, totals Totals) {
	totals = Totals{Streams: len(all), States: map[string]int{}}
	var found []Brief
	for _, b := range all {
		totals.States[b.State]++
		totals.Viewers += b.Viewers
		if strings.Contains(strings.ToLower(b.Name), w.search) {
			totals.Matching++
			if b.Name > w.after {
				found = append(found, b)
			}
		}
	}
	if w.trouble {
		slices.SortStableFunc(found, func(a, b Brief) int {
			return cmp.Or(stateRank[a.State]-stateRank[b.State], down[b.Name]-down[a.Name])
		})
	}
	found = found[min(w.skip, len(found)):]
	more := w.limit > 0 && len(found) > w.limit
	if more {
		found = found[:w.limit]
	}
	for _, b := range found {
		names = append(names, b.Name)
	}
	if more && !w.trouble {
		next = names[len(names)-1]
	}
	return names, next, totals
}

// streams lists the streams that match the query, or all of them, sorted by name.
func streams(relay Relay, routes Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		wanted, wrong, hint := parseListQuery(r.URL.Query())
		if wrong != "" {
			Problem(w, http.StatusBadRequest, wrong, hint)
			return
		}
		lines, all := routes.Lines(), relay.Briefs()
		down := downRoutes(lines)
		names, next, totals := wanted.choose(all, down)
		out := Listing{Streams: make([]Stream, 0, len(names)), Next: next, Totals: totals, Absent: absent(lines, all)}
		for _, name := range names {
			if s, ok := relay.Stream(name); ok { // false if it has ended meanwhile
				s.RoutesDown = down[name]
				out.Streams = append(out.Streams, s)
			}
		}
		reply(w, http.StatusOK, out)
	}
}

// downRoutes counts, for each stream, the pushes and pulls that currently have no working route.
func downRoutes(lines []Line) map[string]int {
	out := map[string]int{}
	for _, l := range lines {
		if l.Down {
			out[l.Stream]++
		}
	}
	return out
}

// absent returns the names of the streams that a pull should start but that do not exist.
func absent(lines []Line, all []Brief) []string {
	there := make(map[string]bool, len(all))
	for _, b := range all {
		there[b.Name] = true
	}
	var out []string
	for _, l := range lines {
		if l.Down && !l.Push && !there[l.Stream] {
			out = append(out, l.Stream)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
