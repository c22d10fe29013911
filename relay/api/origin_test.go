package api

import (
	"net/http"
	"strings"
	"testing"
)

// Actions reject requests of other sites' pages, also if no token is required.
func TestActionsRejectOtherSites(t *testing.T) {
	f := &fake{pushing: true}
	begun, acts := 0, 0
	h := New(Options{
		Relay: f, Routes: &f.routes, Events: NewEvents(), Token: func() string { return "" }, Metrics: http.NotFoundHandler(), Drain: func() { begun++ },
	})
	fill := strings.NewReplacer("{app}", "live", "{name}", "cam", "{group}", "cdn", "{host}", "a.example:1935")
	for _, pattern := range served(t) {
		method, path, _ := strings.Cut(pattern, " ")
		if method == http.MethodGet {
			continue
		}
		acts++
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}, {"Origin", "https://127.0.0.1:8082"}} {
			w := ask(h, method, fill.Replace(path), header...)
			if w.Code != http.StatusForbidden {
				t.Errorf("%s %v: got %d", pattern, header, w.Code)
			}
			problem(t, w)
		}
	}
	if acts < 10 || begun+len(f.kicked)+len(f.capped)+len(f.routes.asked) > 0 {
		t.Errorf("of %d actions, drained %d times, kicked %v, capped %v, routes %v", acts, begun, f.kicked, f.capped, f.routes.asked)
	}
}
