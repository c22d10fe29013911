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

// group is a group of routes with the names a, b and so on.
type group struct {
	list  string // push or pull
	match string // default: live/*
	name  string // default: cdn
	urls  []string
	more  string // in YAML flow style
}

// yaml returns the group's configuration.
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

// startWithRoutes starts a relay that pushes or pulls.
func startWithRoutes(t *testing.T, g group, flags ...string) *relay {
	t.Helper()
	return startRelay(t, append(flags, "--config", config(t, g.yaml()))...)
}

// pushURLs returns URLs to push to the application live of servers.
func pushURLs(addrs ...string) []string {
	var urls []string
	for _, addr := range addrs {
		urls = append(urls, "rtmp://"+addr+"/live/{name}")
	}
	return urls
}

// routesShown is the part of the API's answer about routes that tests use.
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

func (r *relay) routesStatus() routesShown {
	r.t.Helper()
	var out routesShown
	if err := json.Unmarshal([]byte(fetch(r.t, r.url("admin", "/api/v1/routes"))), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// routeStatus returns the status of a stream in the first group, or the zero value.
func (r *relay) routeStatus(stream string) streamShown {
	r.t.Helper()
	for _, s := range r.routesStatus().Groups[0].Streams {
		if s.Stream == stream {
			return s
		}
	}
	return streamShown{}
}

// waitCarries waits until a route carries a stream.
func (r *relay) waitCarries(stream, route string) {
	r.t.Helper()
	waitUntil(r.t, stream+" goes over route "+route, func() bool { return r.routeStatus(stream).Active == route })
}

// switchCount returns the number of switches in group cdn, for some causes or for all.
func (r *relay) switchCount(causes ...string) int {
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

// waitRouteLog waits for a log line about a route, starting at index from.
func (r *relay) waitRouteLog(from int, message, route string) (int, logLine) {
	r.t.Helper()
	return r.waitLog(from, message+", "+route, func(l logLine) bool { return l.is(message) && l.str("route") == route })
}

// routeAction requests an action on a stream's routes in group cdn.
func (r *relay) routeAction(method, path, body string) (status int, answer string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(waitContext(r.t), method, r.url("admin", "/api/v1/"+path), strings.NewReader(body))
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

// waitUntil waits for a condition, which it checks several times a second.
func waitUntil(t testing.TB, what string, right func() bool) {
	t.Helper()
	waitUntilWithin(t, waitLimit, what, right)
}

// waitUntilWithin waits for a condition with a limit and returns how long it took.
func waitUntilWithin(t testing.TB, limit time.Duration, what string, right func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !right() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		sleep(t, 50*time.Millisecond)
	}
	return time.Since(began)
}
