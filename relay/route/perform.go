package route

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
	"github.com/holdfast-live/holdfast/relay/route/pull"
	"github.com/holdfast-live/holdfast/relay/route/push"
)

func newRouteState(group string, route Route) routeState {
	w := routeState{Route: route, key: group + "/" + route.Name}
	if target, err := link.ParseTarget(route.URL); err == nil {
		w.host, w.target = target.Host(), target.String()
	}
	return w
}

// perform carries out the decisions of the policy. r.mu is held.
func (r *runner) perform(now time.Time, effects []policy.Effect) {
	if r.stopped {
		return
	}
	for _, e := range effects {
		switch e.Kind {
		case policy.Dial:
			r.dial(e.Route)
		case policy.Probe:
			r.probe(e.Route)
		case policy.Cancel:
			r.cancelDials(&r.routes[e.Route])
		case policy.Drop:
			r.dropUnused(&r.routes[e.Route])
		case policy.Use:
			r.activate(now, e.Route, e.From)
		case policy.Decided:
			r.recordDecision(now, e)
		}
	}
}

func (r *runner) recordDecision(now time.Time, e policy.Effect) {
	event := Event{Time: now, Type: Decided, Cause: e.Reason.Cause, Detail: e.Reason.Text}
	if e.Route >= 0 { // otherwise it concerns all routes
		event.Route = r.routes[e.Route].Name
	}
	if e.Switched() {
		event.Type, event.From = Switched, r.routes[e.From].Name
	}
	r.record(event)
}

// cancelDials cancels the dial and the probe of a route.
func (r *runner) cancelDials(w *routeState) {
	if w.dialing != nil {
		w.dialAbandoned = true
		w.dialing()
	}
	if w.probing != nil {
		w.probing()
	}
}

// dropUnused closes a connection that is not needed.
func (r *runner) dropUnused(w *routeState) {
	d := dialed{push: w.push, pull: w.pull}
	w.push, w.pull = nil, nil
	r.work.Go(d.close)
}

// dialed is the result of a dial: a push, a pull or an error.
type dialed struct {
	push *push.Push
	pull *pull.Pull
	err  error
	took link.Timing
}

// hostOutcome returns the outcome of a dial with respect to its host. A host that does not have the
// stream, or sends nothing usable, still counts as up.
func (d *dialed) hostOutcome() qos.Outcome {
	var failed *link.PhaseError
	if errors.As(d.err, &failed) && (failed.Phase == qos.PhaseMedia || failed.Phase == qos.PhaseRunning) {
		return qos.DialRejected
	}
	return link.Classify(d.err)
}

func (d *dialed) close() {
	switch {
	case d.push != nil:
		d.push.End()
	case d.pull != nil:
		d.pull.End()
	}
}

// dial starts to dial a route. The dial waits until the host's breaker admits it.
func (r *runner) dial(i int) {
	w := &r.routes[i]
	ctx, cancel := context.WithCancel(r.ctx)
	w.dialing, w.dialAbandoned, w.waiting = cancel, false, w.host != ""
	o := r.all.linkOptions(&r.group, w, r.log)
	w.tries++
	host := w.host
	r.work.Go(func() {
		defer cancel()
		var d dialed
		if err := panics.Run(func() error { d = r.connect(ctx, i, host, o); return nil }); err != nil {
			panics.Report(r.log, "dial of a route", err)
			d = dialed{err: err}
		}
		r.input(func(now time.Time) { r.finishDial(now, i, d) })
	})
}

func (r *runner) connect(ctx context.Context, i int, host string, o link.Options) (d dialed) {
	if host != "" {
		if d.err = r.all.hosts.Enter(ctx, host); d.err != nil {
			return d
		}
		r.locked(func(time.Time) { r.routes[i].waiting = false })
		var left sync.Once
		leave := func(o qos.Outcome) { left.Do(func() { r.all.hosts.Leave(host, o) }) }
		o.Answered = func() { leave(qos.DialOK) } // other dials of the host need not wait for its media
		defer func() {
			o := d.hostOutcome()
			if ctx.Err() != nil {
				o = "" // the dial was canceled
			}
			leave(o)
		}()
	}
	if !r.group.Pull {
		dialer, forget := r.all.selfPush.Through(o.Dialer, r.stream)
		defer forget()
		o.Dialer = dialer
		conn, err := link.Dial(ctx, o)
		if err != nil {
			return dialed{err: err}
		}
		return dialed{push: push.New(r.all.late, conn, r.all.opts.Streams, r.stream, o.Log), took: conn.Timing()}
	}
	session := r.all.nextSession()
	repairs := ingest.NewRepairLog(r.all.opts.Repairs, o.Log.With("session", session))
	o.Repairs = repairs.Note
	feed, err := link.Pull(ctx, o)
	if err != nil {
		return dialed{err: err}
	}
	p := pull.New(session, feed, r.all.pullOptions(r.stream, r.routes[i].target, repairs))
	if err := p.Prepare(ctx); err != nil {
		_ = feed.Close()
		return dialed{err: err, took: feed.Timing()}
	}
	return dialed{pull: p, took: feed.Timing()}
}

// finishDial handles the result of a dial. r.mu is held.
func (r *runner) finishDial(now time.Time, i int, d dialed) {
	w := &r.routes[i]
	w.dialing, w.waiting = nil, false
	if r.stopped || w.dialAbandoned || r.ctx.Err() != nil {
		r.work.Go(d.close)
		r.perform(now, r.core.Dialed(now, i, qos.DialFailed)) // the policy ignores this result
		return
	}
	attempt := link.Attempt(now, false, d.took, d.err)
	r.all.histories.attempt(w.key, attempt)
	r.record(Event{Time: now, Type: Dialed, Route: w.Name, Outcome: attempt.Outcome, Detail: attempt.Detail, Took: attempt.Total()})
	if d.err != nil {
		w.failed, w.last = true, attempt.Detail
		w.absent = attempt.Outcome == qos.DialRejected || attempt.Outcome == qos.DialDenied
		w.misses++
	} else {
		w.push, w.pull, w.began = d.push, d.pull, now
		r.reached.Store(true)
	}
	r.perform(now, r.core.Dialed(now, i, attempt.Outcome))
	for i := range r.routes {
		if !r.routes[i].failed {
			return
		}
	}
	r.settleFailed()
}

// activate makes a route carry the stream. from is the index of the route that carried it until now;
// -1: none. r.mu is held.
func (r *runner) activate(now time.Time, i, from int) {
	w := &r.routes[i]
	r.active = i
	var before dialed
	if from >= 0 {
		before = dialed{push: r.routes[from].push, pull: r.routes[from].pull}
		r.routes[from].push, r.routes[from].pull = nil, nil
	}
	if w.push != nil {
		r.activatePush(now, w, before.push)
	} else {
		p := w.pull
		p.Begin(before.pull, func(err error) { r.connectionEnded(i, p.ClosedBy(), err, func() bool { return r.routes[i].pull == p }) })
	}
	r.record(Event{Time: now, Type: Carries, Route: w.Name})
}

// activatePush makes a push carry the stream. from is the push that carried it until now, or nil. It
// continues until the new push has sent media.
func (r *runner) activatePush(now time.Time, w *routeState, from *push.Push) {
	p, i := w.push, r.active
	start := uint64(0)
	if r.group.Missed {
		start = r.missing
		if from != nil {
			start = from.Missing(now)
		}
	}
	r.missing = 0
	r.beginLadder(now, w)
	p.Begin(start, func(err error) { r.connectionEnded(i, "", err, func() bool { return r.routes[i].push == p }) })
	if from == nil {
		return
	}
	r.work.Go(func() {
		select {
		case <-p.Started():
		case <-p.Done():
		}
		from.End()
	})
}

// connectionEnded handles the end of a connection. It does nothing if the connection is no longer in
// use.
func (r *runner) connectionEnded(i int, by ingest.Cause, err error, current func() bool) {
	var refused *ingest.Refusal
	r.input(func(now time.Time) {
		switch {
		case r.stopped || !current():
		case errors.Is(err, push.ErrEnded):
			r.all.retire(r)
		case errors.Is(err, push.ErrChanged):
			r.broke(now, i, "codec", err)
		case errors.As(err, &refused):
			r.broke(now, i, "refused", err)
			r.settleFailed() // another route would be refused too
		case by != "":
			r.broke(now, i, string(by), err)
		default:
			r.broke(now, i, string(link.EndingOf(err)), err)
		}
	})
}

// probe starts to probe a route.
func (r *runner) probe(i int) {
	w := &r.routes[i]
	ctx, cancel := context.WithCancel(r.ctx)
	w.probing = cancel
	o := r.all.linkOptions(&r.group, w, r.log)
	key, host, target := w.key, w.host, w.target
	r.work.Go(func() {
		defer cancel()
		ok := false
		err := panics.Run(func() error {
			ok = r.all.probes.Probe(ctx, host, target, o, r.group.Probe/2, func(a qos.Attempt) { r.all.histories.attempt(key, a) })
			return nil
		})
		panics.Report(r.log, "probe of a route", err)
		r.input(func(now time.Time) {
			r.routes[i].probing = nil
			if !r.stopped {
				r.perform(now, r.core.Probed(now, i, ok))
			}
		})
	})
}

// linger is how long a pull on demand continues without viewers.
const linger = 10 * time.Second

// checkAudience retires a pull on demand without viewers. r.mu is held.
func (r *runner) checkAudience(now time.Time) {
	if r.lastWatched.IsZero() || r.all.opts.Audience(r.stream) > 0 {
		r.lastWatched = now
	}
	if r.ending() {
		return
	}
	if r.settled && !r.reached.Load() && now.Sub(r.lastWatched) > 0 { // the next viewer starts another
		r.retireFailed(now)
		return
	}
	if now.Sub(r.lastWatched) >= linger {
		r.record(Event{Time: now, Type: Decided, Cause: "unwatched", Detail: "the last viewer has left"})
		r.all.retire(r)
	}
}

// retireFailed retires a pull on demand whose routes have all failed and that no viewer waits for.
// r.mu is held.
func (r *runner) retireFailed(now time.Time) {
	absent := true
	for i := range r.routes {
		absent = absent && r.routes[i].absent
	}
	r.record(Event{Time: now, Type: Decided, Cause: "hopeless", Detail: "no route has the stream, and no viewer is waiting"})
	if absent {
		r.work.Go(func() { // r.all.mu is locked before r.mu
			r.all.mu.Lock()
			r.all.setAbsent(r.stream, now)
			r.all.mu.Unlock()
		})
	}
	r.all.retire(r)
}
