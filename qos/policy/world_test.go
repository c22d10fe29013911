package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a group, and the hosts that its routes go to, in virtual time. It answers what the
// group asks for and checks that it asks for nothing absurd.
type world struct {
	g      *Group
	names  []string
	now    time.Time
	hosts  []qos.Outcome // what a dial of each route comes to
	takes  time.Duration // a dial or a probe
	mute   bool          // hosts are up and acknowledge nothing
	asked  []answer
	live   []bool // connections
	used   int    // -1: none
	beat   time.Time
	probes bool // shown
	deaf   bool // a dial that is cancelled comes up all the same
	show   strings.Builder
	base   time.Time // of what is shown

	dials, switches int
	lost            time.Duration // without a route
	fault           func(format string, args ...any)
}

// answer is what a dial or a probe is going to come to.
type answer struct {
	at        time.Time
	route     int
	probe     bool
	cancelled bool
}

func newWorld(cfg GroupConfig, chance func() float64, fault func(string, ...any)) *world {
	w := &world{g: NewGroup(cfg, chance), names: cfg.Routes, now: epoch, base: epoch, takes: 50 * time.Millisecond, used: -1, fault: fault}
	for range cfg.Routes {
		w.hosts = append(w.hosts, qos.DialOK)
		w.live = append(w.live, false)
	}
	return w
}

// host changes what a host is; one that goes down takes its connection with it.
func (w *world) host(i int, o qos.Outcome) {
	w.hosts[i] = o
	if o == qos.DialOK || !w.live[i] {
		return
	}
	w.live[i] = false
	if w.used == i {
		w.used = -1
	}
	w.do(w.g.Broke(w.now, i, "reset"))
}

// do carries effects out.
func (w *world) do(effects []Effect) {
	for _, e := range effects {
		w.carryOut(e)
		w.tell(e)
	}
}

func (w *world) carryOut(e Effect) {
	switch e.Kind {
	case Dial, Probe:
		if slices.ContainsFunc(w.asked, func(a answer) bool { return a.route == e.Route && a.probe == (e.Kind == Probe) }) {
			w.fault("%v of %d while one is under way", e.Kind, e.Route)
		}
		w.asked = append(w.asked, answer{at: w.now.Add(w.takes), route: e.Route, probe: e.Kind == Probe})
		if e.Kind == Dial {
			w.dials++
		}
	case Use:
		if !w.live[e.Route] {
			w.fault("use of %d, which is not up", e.Route)
		}
		if e.From >= 0 && (!w.live[e.From] || e.From == e.Route || w.used != e.From) {
			w.fault("use of %d from %d, which does not carry", e.Route, e.From)
		}
		if e.From < 0 && w.used >= 0 {
			w.fault("use of %d while %d carries", e.Route, w.used)
		}
		if e.From >= 0 {
			w.live[e.From] = false
		}
		w.used = e.Route
	case Drop:
		if e.Route == w.used || !w.live[e.Route] {
			w.fault("drop of %d", e.Route)
		}
		w.live[e.Route] = false
	case Cancel:
		for i := range w.asked {
			if w.asked[i].route == e.Route {
				w.asked[i].cancelled = true
			}
		}
	case Decided:
		if e.Switched() {
			w.switches++
		}
	}
}

func (w *world) name(i int) string {
	if i < 0 {
		return "-"
	}
	return w.names[i]
}

func (w *world) tell(e Effect) {
	if e.Kind == Probe && !w.probes {
		return
	}
	fmt.Fprintf(&w.show, "%-7v %v %s", w.now.Sub(w.base).Round(time.Millisecond), e.Kind, w.name(e.Route))
	switch {
	case e.Kind == Use && e.From >= 0:
		fmt.Fprintf(&w.show, ", then end %s", w.name(e.From))
	case e.Kind == Decided:
		fmt.Fprintf(&w.show, " %s: %s", e.Reason.Cause, e.Reason.Text)
	}
	w.show.WriteByte('\n')
}

// answered lets a dial or a probe come to its end.
func (w *world) answered(a answer) {
	switch {
	case a.probe: // does not publish, and so is not refused
		host := w.hosts[a.route]
		w.do(w.g.Probed(w.now, a.route, host != qos.DialFailed && host != qos.DialTimeout))
	case a.cancelled && !w.deaf:
		w.do(w.g.Dialed(w.now, a.route, qos.DialFailed))
	default:
		w.live[a.route] = w.hosts[a.route] == qos.DialOK
		w.do(w.g.Dialed(w.now, a.route, w.hosts[a.route]))
	}
}

// pass lets time pass, answering and ticking as it becomes due.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	if w.beat.IsZero() {
		w.beat = w.now
	}
	for same := 0; ; {
		next := w.beat
		if t := w.g.Next(); !t.IsZero() && t.Before(next) {
			next = t
		}
		for _, a := range w.asked {
			if a.at.Before(next) {
				next = a.at
			}
		}
		if next.After(end) {
			break
		}
		if next.Before(w.now) {
			w.fault("next is %v ago", w.now.Sub(next))
			return
		}
		if same++; next.After(w.now) {
			same = 0
		}
		if same > 200 {
			w.fault("no progress at %v", w.now.Sub(epoch))
			return
		}
		w.advance(next)
		w.step()
	}
	w.advance(end)
}

func (w *world) advance(to time.Time) {
	if w.used < 0 {
		w.lost += to.Sub(w.now)
	}
	w.now = to
}

func (w *world) step() {
	for i := 0; i < len(w.asked); i++ {
		if a := w.asked[i]; !a.at.After(w.now) {
			w.asked = slices.Delete(w.asked, i, i+1)
			w.answered(a)
			return
		}
	}
	if !w.beat.After(w.now) {
		w.beat = w.now.Add(time.Second)
		if w.used >= 0 && !w.mute {
			w.do(w.g.Delivered(w.now, w.used))
		}
		return
	}
	w.do(w.g.Tick(w.now))
	if t := w.g.Next(); !t.IsZero() && !t.After(w.now) {
		w.fault("after a tick the next is due at once")
	}
}
