package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// series maps the metrics of a scrape to their labels.
func series(scrape string) map[string][]string {
	sample := regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? \S+$`)
	label := regexp.MustCompile(`(\w+)="`)
	out := map[string][]string{}
	for _, m := range sample.FindAllStringSubmatch(scrape, -1) {
		out[m[1]] = append(out[m[1]], "")
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			out[m[1]] = append(out[m[1]], l[1])
		}
	}
	return out
}

// nowhere is a route to an address on which nothing listens, so that metrics of routes exist.
const nowhere = `
push:
  - {match: "live/*", name: cdn, routes: [{name: a, url: "rtmp://127.0.0.1:1/live/{name}"}]}
`

// TestDashboardsShowWhatIsExported compares the dashboards with a relay that has a stream: their
// metrics and labels exist, and they show every metric of the relay.
func TestDashboardsShowWhatIsExported(t *testing.T) {
	out, _ := runningDemoOn(t, file(t, nowhere))
	admin := out.find(t, `admin +http://(\S+)/`)
	body := play(t, t.Context(), out.find(t, `HTTP-FLV +(\S+)`)) // the stream is live
	defer body.Close()
	scrape, status := get(t, "http://"+admin+"/metrics")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	exported := series(scrape)
	shown := map[string]bool{}
	by, selector := regexp.MustCompile(`by \(([^)]*)\)`), regexp.MustCompile(`\b((?:holdfast|go|process)_\w+)\{([^}]*)\}`)
	for _, expr := range expressions(t) {
		found := selector.FindAllStringSubmatch(expr, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", expr)
		}
		for _, m := range found {
			metric := m[1]
			shown[metric] = true
			labels, ok := exported[metric]
			if !ok {
				t.Errorf("%s: the relay has no %s", expr, metric)
				continue
			}
			var used []string
			for _, l := range regexp.MustCompile(`(\w+)\s*[=!]`).FindAllStringSubmatch(m[2], -1) {
				used = append(used, l[1])
			}
			for _, m := range by.FindAllStringSubmatch(expr, -1) {
				used = append(used, strings.Split(m[1], ", ")...)
			}
			for _, l := range used {
				if l != "instance" && l != "job" && !slices.Contains(labels, l) { // Prometheus adds those two
					t.Errorf("%s: %s has no label %s", expr, metric, l)
				}
			}
		}
	}
	for metric := range exported {
		if strings.HasSuffix(metric, "_sum") || strings.HasSuffix(metric, "_count") || !strings.HasPrefix(metric, "holdfast_") {
			continue
		}
		if !shown[metric] {
			t.Errorf("no dashboard shows %s", metric)
		}
	}
}

// expressions returns all queries of all dashboards.
func expressions(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob("../../configs/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file) //nolint:gosec // the tree's own
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Panels []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				out = append(out, target.Expr)
			}
		}
	}
	return out
}
