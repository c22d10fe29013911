//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// group is a group of routes, named a, b and so on.
type group struct {
	list  string // push or pull
	match string // live/*, unless it is set
	name  string // cdn, unless it is set
	urls  []string
	more  string // in YAML's flow style
}

// yaml is the group as it is configured.
func (g group) yaml() string {
	if g.match == "" {
		g.match = "live/*"
	}
	if g.name == "" {
		g.name = "cdn"
	}
	var routes []string
	for i, url := range g.urls {
		routes = append(routes, fmt.Sprintf("{name: %c, url: %q}", 'a'+i, url))
	}
	if g.more != "" {
		g.more = ", " + g.more
	}
	return fmt.Sprintf("%s:\n  - {match: %q, name: %s, routes: [%s]%s}\n", g.list, g.match, g.name, strings.Join(routes, ", "), g.more)
}

// routing runs a relay that pushes or pulls.
func routing(t *testing.T, g group, flags ...string) *relay {
	t.Helper()
	return start(t, append(flags, "--config", config(t, g.yaml()))...)
}

// pushing to the application live of servers.
func pushTo(addrs ...string) []string {
	var urls []string
	for _, addr := range addrs {
		urls = append(urls, "rtmp://"+addr+"/live/{name}")
	}
	return urls
}

// routesShown is what the API shows of routes, as far as it is asked for here.
type routesShown struct {
	Groups []struct {
		Name    string
		Streams []streamShown
	}
	Breakers []struct {
		Host, State string
		Failures    int
		Waiting     int
		Next        float64 `json:"next_seconds"`
	}
}

type streamShown struct {
	Stream, Active, Forced string
	Switches               int
	Ladder                 struct {
		Rung, Rendition, Forced, Cause, Reason string
		Level                                  int
		Lag                                    float64 `json:"lag_seconds"`
		Delivered, Capacity                    float64
	}
	Routes []struct {
		Name, Target, Host, State string
		Fails                     int
		Denied                    bool
		LastFailure               string `json:"last_failure"`
		Score                     struct{ Value float64 }
		History                   struct {
			Attempts, Failed int
			Capacity         float64
			Ran              float64 `json:"ran_seconds"`
			Breaks           map[string]int
		}
	}
	Decisions []struct{ Route, From, Cause, Text string }
}

func (r *relay) shown() routesShown {
	r.t.Helper()
	var out routesShown
	if err := json.Unmarshal([]byte(fetch(r.t, r.url("admin", "/api/v1/routes"))), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// route is what the API shows of a stream in the first group; its zero value if there is
// nothing.
func (r *relay) route(stream string) streamShown {
	r.t.Helper()
	for _, s := range r.shown().Groups[0].Streams {
		if s.Stream == stream {
			return s
		}
	}
	return streamShown{}
}

// carries waits until a stream goes over a route.
func (r *relay) carries(stream, route string) {
	r.t.Helper()
	until(r.t, stream+" goes over route "+route, func() bool { return r.route(stream).Active == route })
}

// switches counts those of group cdn, for all causes or for some.
func (r *relay) switches(causes ...string) int {
	r.t.Helper()
	if causes == nil {
		causes = []string{"broken", "score", "return", "forced"}
	}
	sum := 0.0
	for _, cause := range causes {
		sum += r.metric(`holdfast_route_switches_total{cause="` + cause + `",group="cdn"}`)
	}
	return int(sum)
}

// routeLine waits for a line of the log about a route, from index from on.
func (r *relay) routeLine(from int, message, route string) (int, logLine) {
	r.t.Helper()
	return r.expect(from, message+", "+route, func(l logLine) bool { return l.is(message) && l.str("route") == route })
}

// acts asks for something to be done to a stream's routes in group cdn.
func (r *relay) acts(method, path, body string) (status int, answer string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(within(r.t), method, r.url("admin", "/api/v1/"+path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	var problem struct{ Error, Hint string }
	if resp.StatusCode >= 400 {
		if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
			r.t.Errorf("%s %s: %s: %v", method, path, resp.Status, err)
		}
	}
	return resp.StatusCode, problem.Error + "; " + problem.Hint
}

// until waits for what must come, and looks a few times a second.
func until(t testing.TB, what string, right func() bool) {
	t.Helper()
	untilWithin(t, patience, what, right)
}

// untilWithin is until with a limit of its own. It returns how long it took.
func untilWithin(t testing.TB, limit time.Duration, what string, right func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !right() {
		if time.Since(began) > limit {
			t.Fatalf("not in %v: %s", limit, what)
		}
		wait(t, 50*time.Millisecond)
	}
	return time.Since(began)
}
