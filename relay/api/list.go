package api

import (
	"net/http"
	"sort"
	"strconv"
)

// mostStreams is how many streams a page has at the most.
const mostStreams = 1000

// streams lists all streams in the order of their names or, with limit, the first of those
// whose name comes after the one given.
func streams(relay Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		all := relay.Streams()
		q := r.URL.Query()
		if after := q.Get("after"); after != "" {
			all = all[sort.Search(len(all), func(i int) bool { return all[i].Name > after }):]
		}
		page := map[string]any{"streams": all}
		if text := q.Get("limit"); text != "" {
			limit, err := strconv.Atoi(text)
			if err != nil || limit < 1 || limit > mostStreams {
				Problem(w, http.StatusBadRequest, "limit is not a number of streams", "write 1 to "+strconv.Itoa(mostStreams))
				return
			}
			if len(all) > limit {
				page["streams"], page["next"] = all[:limit], all[limit-1].Name
			}
		}
		reply(w, http.StatusOK, page)
	}
}
