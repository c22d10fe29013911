package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world simulates a group and the hosts of its routes in virtual time. It answers the group's dials
// and probes and checks that its effects make sense.
type world struct {
	g            *Group
	names        []string
	now          time.Time
	hosts        []qos.Outcome // the result of a dial of each route
	takes        time.Duration // duration of a dial or a probe
	silentHosts  bool          // hosts are up but acknowledge nothing
	pending      []answer
	connected    []bool // routes that are connected
	active       int    // the active route; -1 for none
	nextMedia    time.Time
	probes       bool // include probes in show
	ignoreCancel bool // a cancelled dial succeeds nevertheless
	show         strings.Builder
	base         time.Time // start of the times in show

	dials, switches int
	inactiveTime    time.Duration // total time without an active route
	fault           func(format string, args ...any)
}

// answer is the pending result of a dial or a probe.
type answer struct {
	at        time.Time
	route     int
	probe     bool
	cancelled bool
}

func newWorld(cfg GroupConfig, chance func() float64, fault func(string, ...any)) *world {
	w := &world{g: NewGroup(cfg, chance), names: cfg.Routes, now: epoch, base: epoch, takes: 50 * time.Millisecond, active: -1, fault: fault}
	for range cfg.Routes {
		w.hosts = append(w.hosts, qos.DialOK)
		w.connected = append(w.connected, false)
	}
	return w
}

// setHost changes the state of a host; when it goes down, its connection breaks.
func (w *world) setHost(i int, o qos.Outcome) {
	w.hosts[i] = o
	if o == qos.DialOK || !w.connected[i] {
		return
	}
	w.connected[i] = false
	if w.active == i {
		w.active = -1
	}
	w.apply(w.g.Broke(w.now, i, "reset"))
}

// apply carries out effects.
func (w *world) apply(effects []Effect) {
	for _, e := range effects {
		w.carryOut(e)
		w.showEffect(e)
	}
}

func (w *world) carryOut(e Effect) {
	switch e.Kind {
	case Dial, Probe:
		if slices.ContainsFunc(w.pending, func(a answer) bool { return a.route == e.Route && a.probe == (e.Kind == Probe) }) {
			w.fault("%v of %d while one is in progress", e.Kind, e.Route)
		}
		w.pending = append(w.pending, answer{at: w.now.Add(w.takes), route: e.Route, probe: e.Kind == Probe})
		if e.Kind == Dial {
			w.dials++
		}
	case Use:
		if !w.connected[e.Route] {
			w.fault("use of %d, which is not connected", e.Route)
		}
		if e.From >= 0 && (!w.connected[e.From] || e.From == e.Route || w.active != e.From) {
			w.fault("use of %d from %d, which is not active", e.Route, e.From)
		}
		if e.From < 0 && w.active >= 0 {
			w.fault("use of %d while %d is active", e.Route, w.active)
		}
		if e.From >= 0 {
			w.connected[e.From] = false
		}
		w.active = e.Route
	case Drop:
		if e.Route == w.active || !w.connected[e.Route] {
			w.fault("drop of %d", e.Route)
		}
		w.connected[e.Route] = false
	case Cancel:
		for i := range w.pending {
			if w.pending[i].route == e.Route {
				w.pending[i].cancelled = true
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

func (w *world) showEffect(e Effect) {
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

// answered delivers the result of a dial or a probe.
func (w *world) answered(a answer) {
	switch {
	case a.probe: // a probe does not publish, so it is not denied
		host := w.hosts[a.route]
		w.apply(w.g.Probed(w.now, a.route, host != qos.DialFailed && host != qos.DialTimeout))
	case a.cancelled && !w.ignoreCancel:
		w.apply(w.g.Dialed(w.now, a.route, qos.DialFailed))
	default:
		w.connected[a.route] = w.hosts[a.route] == qos.DialOK
		w.apply(w.g.Dialed(w.now, a.route, w.hosts[a.route]))
	}
}

// advanceBy advances time, answering and ticking as due.
func (w *world) advanceBy(d time.Duration) {
	end := w.now.Add(d)
	if w.nextMedia.IsZero() {
		w.nextMedia = w.now
	}
	for same := 0; ; {
		next := w.nextMedia
		if t := w.g.Next(); !t.IsZero() && t.Before(next) {
			next = t
		}
		for _, a := range w.pending {
			if a.at.Before(next) {
				next = a.at
			}
		}
		if next.After(end) {
			break
		}
		if next.Before(w.now) {
			w.fault("Next returned %v ago", w.now.Sub(next))
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
	if w.active < 0 {
		w.inactiveTime += to.Sub(w.now)
	}
	w.now = to
}

func (w *world) step() {
	for i := 0; i < len(w.pending); i++ {
		if a := w.pending[i]; !a.at.After(w.now) {
			w.pending = slices.Delete(w.pending, i, i+1)
			w.answered(a)
			return
		}
	}
	if !w.nextMedia.After(w.now) {
		w.nextMedia = w.now.Add(time.Second)
		if w.active >= 0 && !w.silentHosts {
			w.apply(w.g.Delivered(w.now, w.active))
		}
		return
	}
	w.apply(w.g.Tick(w.now))
	if t := w.g.Next(); !t.IsZero() && !t.After(w.now) {
		w.fault("Next is due at once after a Tick")
	}
}
