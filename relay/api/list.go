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

// mostStreams is how many streams a page has at the most.
const mostStreams = 1000

// Brief is a stream in short.
type Brief struct {
	Name, State string
	Viewers     int
}

// Listing is some of the streams, as the API shows them.
type Listing struct {
	Streams []Stream `json:"streams"`
	Next    string   `json:"next,omitempty"` // where there is another page: what its after is
	Totals  Totals   `json:"totals"`
	// Absent are streams that are not there though a pull is to bring them in, whatever is asked for.
	Absent []string `json:"absent,omitempty"`
}

// Totals are of all streams.
type Totals struct {
	Streams  int            `json:"streams"`
	Matching int            `json:"matching"` // of those, what was asked for
	States   map[string]int `json:"states"`
	Viewers  int            `json:"viewers"`
}

// wish is which streams are asked for.
type wish struct {
	limit, skip   int // limit 0: all
	after, search string
	trouble       bool // broken ones first
}

// wishOf reads a wish; what it does not know how to read it names, and what would be right.
func wishOf(q url.Values) (w wish, wrong, hint string) {
	w.after, w.search = q.Get("after"), strings.ToLower(q.Get("search"))
	for _, n := range []struct {
		name        string
		into        *int
		least, most int
	}{{"limit", &w.limit, 1, mostStreams}, {"skip", &w.skip, 0, 1_000_000}} {
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

// ranks put what is broken before what is not.
var ranks = map[string]int{"held": 0, "suspect": 1, "idle": 2, "live": 3, "ended": 4}

// choose tells which streams are shown, in their order, and where the next page begins.
func (w wish) choose(all []Brief, down map[string]int) (names []string, next string, totals Totals) {
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
			return cmp.Or(ranks[a.State]-ranks[b.State], down[b.Name]-down[a.Name])
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

// streams lists the streams that are asked for: without a limit all, in the order of their names.
func streams(relay Relay, routes Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		wanted, wrong, hint := wishOf(r.URL.Query())
		if wrong != "" {
			Problem(w, http.StatusBadRequest, wrong, hint)
			return
		}
		lines, all := routes.Lines(), relay.Briefs()
		down := uncarried(lines)
		names, next, totals := wanted.choose(all, down)
		out := Listing{Streams: make([]Stream, 0, len(names)), Next: next, Totals: totals, Absent: absent(lines, all)}
		for _, name := range names {
			if s, ok := relay.Stream(name); ok { // or it has ended since
				s.RoutesDown = down[name]
				out.Streams = append(out.Streams, s)
			}
		}
		reply(w, http.StatusOK, out)
	}
}

// uncarried counts the pushes and pulls of each stream that no route carries.
func uncarried(lines []Line) map[string]int {
	out := map[string]int{}
	for _, l := range lines {
		if l.Down {
			out[l.Stream]++
		}
	}
	return out
}

// absent are the streams that a pull should bring in and that are not there, by name.
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
