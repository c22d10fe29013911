//go:build linux

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// The operator chooses a route and a rung, takes it back, and has failures forgotten; what is
// not there is refused with a hint.
func TestOperator(t *testing.T) {
	t.Parallel()
	const stream, at = "live/cam", "routes/cdn/live/cam/"
	a, b, dead := nginxRTMP(t), nginxRTMP(t), newDeadHost(t)
	r := routing(t, group{list: "push", urls: pushTo(a.addr, b.addr, dead.addr), more: "failover: {after: 500ms, rise: 1s, probe: 200ms}"})
	p := publish(t, r, stream, gen.Options{Source: 1, BFrames: 2})
	w := watched{t: t, relay: r, pushes: []*publisher{p}}
	p.atLeast(20)
	w.viewers = both(t, r, stream)
	r.carries(stream, "a")
	onB := b.watch(stream)
	do := func(method, path, body string) {
		t.Helper()
		if status, why := r.acts(method, path, body); status != http.StatusNoContent {
			t.Errorf("%s %s %s: status %d, %s", method, path, body, status, why)
		}
	}

	do(http.MethodPut, at+"route", `{"route": "b"}`)
	onB.joins()
	r.carries(stream, "b")
	if s := r.route(stream); s.Forced != "b" || s.Decisions[0].Cause == "" || r.switches("forced") != 1 {
		t.Errorf("%+v, %d switches", s, r.switches("forced"))
	}
	onB.more(200) // it stays, though the better one is well
	if s := r.route(stream); s.Active != "b" {
		t.Errorf("it goes over %s", s.Active)
	}

	do(http.MethodPut, at+"rung", `{"rung": "keyframes"}`)
	until(t, "the rung is in force", func() bool {
		l := r.route(stream).Ladder
		return l.Rung == "keyframes" && l.Forced == "keyframes" && l.Cause == "forced" && l.Level > 0
	})
	from := onB.frames.len()
	onB.more(300)
	for _, f := range onB.frames.all()[from+60:] { // what was under way is through
		if f.track == 0 && !f.config && !f.key {
			t.Errorf("a picture that is no keyframe: %+v", f)
			break
		}
	}
	do(http.MethodDelete, at+"rung", "")
	until(t, "all of the stream is sent", func() bool { l := r.route(stream).Ladder; return l.Level == 0 && l.Forced == "" })

	do(http.MethodDelete, at+"route", "")
	r.carries(stream, "a")
	do(http.MethodPost, at+"reset", `{"route": "c"}`)
	until(t, "the breaker of the dead host counts", func() bool { return len(r.shown().Breakers) == 3 })
	do(http.MethodPost, "breakers/"+dead.addr+"/reset", "")

	for _, wrong := range []struct{ method, path, body string }{
		{http.MethodPut, at + "route", `{"route": "z"}`},
		{http.MethodPut, at + "rung", `{"rung": "half"}`},
		{http.MethodPost, at + "reset", `{"route": "z"}`},
		{http.MethodPut, "routes/cdn/live/other/route", `{"route": "a"}`},
		{http.MethodPut, "routes/none/live/cam/route", `{"route": "a"}`},
		{http.MethodPost, "breakers/nowhere:1/reset", ""},
	} {
		status, why := r.acts(wrong.method, wrong.path, wrong.body)
		if problem, hint, _ := strings.Cut(why, "; "); status != http.StatusNotFound || problem == "" || hint == "" {
			t.Errorf("%s %s %s: status %d, %q", wrong.method, wrong.path, wrong.body, status, why)
		}
	}
	if status, why := r.acts(http.MethodPut, at+"route", "{}"); status != http.StatusBadRequest || !strings.Contains(why, "route") {
		t.Errorf("a request that names nothing: status %d, %q", status, why)
	}
	p.halt()
	w.settled(p)
	w.whole(nil)
	w.counted()
}
