//go:build linux

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestOperator forces a route and a rung, releases them and resets the history. Requests for unknown
// things must be refused with a hint.
func TestOperator(t *testing.T) {
	t.Parallel()
	const stream, at = "live/cam", "routes/cdn/live/cam/"
	a, b, dead := startNginxRTMP(t), startNginxRTMP(t), newDeadHost(t)
	r := startWithRoutes(t, group{list: "push", urls: pushURLs(a.addr, b.addr, dead.addr), more: "failover: {after: 500ms, rise: 1s, probe: 200ms}"})
	p := publish(t, r, stream, gen.Options{Source: 1, BFrames: 2})
	w := streamCheck{t: t, relay: r, pushes: []*publisher{p}}
	p.waitSent(20)
	w.viewers = watchRTMPAndFLV(t, r, stream)
	r.waitCarries(stream, "a")
	onB := b.watch(stream)
	do := func(method, path, body string) {
		t.Helper()
		if status, reason := r.routeAction(method, path, body); status != http.StatusNoContent {
			t.Errorf("%s %s %s: got status %d, %s", method, path, body, status, reason)
		}
	}

	do(http.MethodPut, at+"route", `{"route": "b"}`)
	onB.waitKeyframe()
	r.waitCarries(stream, "b")
	if s := r.routeStatus(stream); s.Forced != "b" || s.Decisions[0].Cause == "" || r.switchCount("forced") != 1 {
		t.Errorf("got %+v and %d switches", s, r.switchCount("forced"))
	}
	onB.waitFrames(200) // the forced route stays, though the better one is healthy
	if s := r.routeStatus(stream); s.Active != "b" {
		t.Errorf("got route %s", s.Active)
	}

	do(http.MethodPut, at+"rung", `{"rung": "keyframes"}`)
	waitUntil(t, "the rung is in force", func() bool {
		l := r.routeStatus(stream).Ladder
		return l.Rung == "keyframes" && l.Forced == "keyframes" && l.Cause == "forced" && l.Level > 0
	})
	from := onB.frames.len()
	onB.waitFrames(300)
	for _, f := range onB.frames.all()[from+60:] { // after the frames in flight
		if f.track == 0 && !f.config && !f.key {
			t.Errorf("got %+v, want keyframes only", f)
			break
		}
	}
	do(http.MethodDelete, at+"rung", "")
	waitUntil(t, "the full stream is sent", func() bool { l := r.routeStatus(stream).Ladder; return l.Level == 0 && l.Forced == "" })

	do(http.MethodDelete, at+"route", "")
	r.waitCarries(stream, "a")
	do(http.MethodPost, at+"reset", `{"route": "c"}`)
	waitUntil(t, "the breaker of the dead host counts", func() bool { return len(r.routesStatus().Breakers) == 3 })
	do(http.MethodPost, "breakers/"+dead.addr+"/reset", "")

	for _, wrong := range []struct{ method, path, body string }{
		{http.MethodPut, at + "route", `{"route": "z"}`},
		{http.MethodPut, at + "rung", `{"rung": "half"}`},
		{http.MethodPost, at + "reset", `{"route": "z"}`},
		{http.MethodPut, "routes/cdn/live/other/route", `{"route": "a"}`},
		{http.MethodPut, "routes/none/live/cam/route", `{"route": "a"}`},
		{http.MethodPost, "breakers/nowhere:1/reset", ""},
	} {
		status, reason := r.routeAction(wrong.method, wrong.path, wrong.body)
		if problem, hint, _ := strings.Cut(reason, "; "); status != http.StatusNotFound || problem == "" || hint == "" {
			t.Errorf("%s %s %s: got status %d, %q", wrong.method, wrong.path, wrong.body, status, reason)
		}
	}
	if status, reason := r.routeAction(http.MethodPut, at+"route", "{}"); status != http.StatusBadRequest || !strings.Contains(reason, "route") {
		t.Errorf("request without a name: got status %d, %q", status, reason)
	}
	p.pause()
	w.waitSettled(p)
	w.checkComplete(nil)
	w.checkCounts()
}
