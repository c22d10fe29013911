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
)

// Errors of a Tap.
var (
	// ErrEnded says that the stream is over.
	ErrEnded = errors.New("the stream has ended")
	// ErrChanged says that the stream goes on in a way that no connection survives: a codec
	// has changed.
	ErrChanged = errors.New("the stream has changed its codecs")
)

func newWay(group string, route Route) way {
	w := way{Route: route, key: group + "/" + route.Name}
	if target, err := link.ParseTarget(route.URL); err == nil {
		w.host, w.target = target.Host(), target.String()
	}
	return w
}

// perform does what the core decided. r.mu is held.
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
			r.call(&r.ways[e.Route])
		case policy.Drop:
			r.drop(&r.ways[e.Route])
		case policy.Use:
			r.use(now, e.Route, e.From)
		case policy.Decided:
			r.decided(now, e)
		}
	}
}

func (r *runner) decided(now time.Time, e policy.Effect) {
	event := Event{Time: now, Type: Decided, Cause: e.Reason.Cause, Detail: e.Reason.Text}
	if e.Route >= 0 { // else it is about all of them
		event.Route = r.ways[e.Route].Name
	}
	if e.Switched() {
		event.Type, event.From = Switched, r.ways[e.From].Name
	}
	r.tell(event)
}

// call calls a dial or a probe back.
func (r *runner) call(w *way) {
	if w.dialing != nil {
		w.unlike = true
		w.dialing()
	}
	if w.probing != nil {
		w.probing()
	}
}

// drop ends a connection that is not needed, politely.
func (r *runner) drop(w *way) {
	d := dialed{push: w.push, pull: w.pull}
	w.push, w.pull = nil, nil
	r.work.Go(d.end)
}

// dialed is what a dial has come to.
type dialed struct {
	push *pushing
	pull *pulling
	err  error
	took link.Timing
}

// ofHost is what a dial tells of the far host: one that has not got the stream, or sends nothing
// that can be used, lives.
func (d *dialed) ofHost() qos.Outcome {
	var failed *link.PhaseError
	if errors.As(d.err, &failed) && (failed.Phase == qos.PhaseMedia || failed.Phase == qos.PhaseRunning) {
		return qos.DialRejected
	}
	return link.Classify(d.err)
}

func (d *dialed) end() {
	switch {
	case d.push != nil:
		d.push.end()
	case d.pull != nil:
		d.pull.end()
	}
}

// dial starts a dial, which waits for its turn with the host.
func (r *runner) dial(i int) {
	w := &r.ways[i]
	ctx, cancel := context.WithCancel(r.ctx)
	w.dialing, w.unlike, w.waiting = cancel, false, w.host != ""
	o := r.all.link(&r.group, w, r.log)
	w.tries++
	host := w.host
	r.work.Go(func() {
		defer cancel()
		var d dialed
		if err := panics.Run(func() error { d = r.reach(ctx, i, host, o); return nil }); err != nil {
			panics.Report(r.log, "dial of a route", err)
			d = dialed{err: err}
		}
		r.input(func(now time.Time) { r.dialed(now, i, d) })
	})
}

func (r *runner) reach(ctx context.Context, i int, host string, o link.Options) (d dialed) {
	if host != "" {
		if d.err = r.all.hosts.enter(ctx, host); d.err != nil {
			return d
		}
		r.locked(func(time.Time) { r.ways[i].waiting = false })
		var left sync.Once
		leave := func(o qos.Outcome) { left.Do(func() { r.all.hosts.leave(host, o) }) }
		o.Answered = func() { leave(qos.DialOK) } // others need not wait for what it sends
		defer func() {
			o := d.ofHost()
			if ctx.Err() != nil {
				o = "" // it was called back
			}
			leave(o)
		}()
	}
	if !r.group.Pull {
		dialer, forget := r.all.loops.through(o.Dialer, r.stream)
		defer forget()
		o.Dialer = dialer
		push, err := link.Dial(ctx, o)
		if err != nil {
			return dialed{err: err}
		}
		s := newSender(push, r.all.opts.Streams, r.stream, o.Log)
		return dialed{push: newPushing(r.all.late, push, s), took: push.Timing()}
	}
	session := r.all.session()
	repairs := ingest.NewRepairLog(r.all.opts.Repairs, o.Log.With("session", session))
	o.Repairs = repairs.Note
	feed, err := link.Pull(ctx, o)
	if err != nil {
		return dialed{err: err}
	}
	pull := newPulling(session, feed, r.all.puller(r.stream, r.ways[i].target))
	pull.repairs = repairs
	if err := pull.prepare(ctx); err != nil {
		_ = feed.Close()
		return dialed{err: err, took: feed.Timing()}
	}
	return dialed{pull: pull, took: feed.Timing()}
}

// dialed takes what a dial has come to. r.mu is held.
func (r *runner) dialed(now time.Time, i int, d dialed) {
	w := &r.ways[i]
	w.dialing, w.waiting = nil, false
	if r.stopped || w.unlike || r.ctx.Err() != nil {
		r.work.Go(d.end)
		r.perform(now, r.core.Dialed(now, i, qos.DialFailed)) // an answer that nobody heeds
		return
	}
	attempt := link.Attempt(now, false, d.took, d.err)
	r.all.histories.attempt(w.key, attempt)
	r.tell(Event{Time: now, Type: Dialed, Route: w.Name, Outcome: attempt.Outcome, Detail: attempt.Detail, Took: attempt.Total()})
	if d.err != nil {
		w.failed, w.last = true, attempt.Detail
		w.absent = attempt.Outcome == qos.DialRejected || attempt.Outcome == qos.DialDenied
		w.misses++
	} else {
		w.push, w.pull, w.began = d.push, d.pull, now
		r.reached.Store(true)
	}
	r.perform(now, r.core.Dialed(now, i, attempt.Outcome))
	for i := range r.ways {
		if !r.ways[i].failed {
			return
		}
	}
	r.settle()
}

// use puts a connection to use that has just come up. r.mu is held.
func (r *runner) use(now time.Time, i, from int) {
	w := &r.ways[i]
	r.active = i
	var push *pushing
	var pull *pulling
	if from >= 0 {
		push, pull = r.ways[from].push, r.ways[from].pull
		r.ways[from].push, r.ways[from].pull = nil, nil
	}
	if w.push != nil {
		r.send(now, w, push)
	} else {
		p := w.pull
		p.begin(pull, func(err error) { r.ended(i, p.closedBy(), err, func() bool { return r.ways[i].pull == p }) })
	}
	r.tell(Event{Time: now, Type: Carries, Route: w.Name})
}

// send has a push carry the stream. from is the one that carries it so far, if that lives: it
// goes on until this one has sent.
func (r *runner) send(now time.Time, w *way, from *pushing) {
	p, i := w.push, r.active
	start := uint64(0)
	if r.group.Missed {
		start = r.missing
		if from != nil {
			start = from.missing(now)
		}
	}
	r.missing = 0
	r.ladderBegins(now, w)
	p.begin(start, func(err error) { r.ended(i, "", err, func() bool { return r.ways[i].push == p }) })
	if from == nil {
		return
	}
	r.work.Go(func() {
		select {
		case <-p.sender.started:
		case <-p.push.Done():
		}
		from.end()
	})
}

// ended takes the end of a connection, unless it is in use no more.
func (r *runner) ended(i int, by ingest.Cause, err error, current func() bool) {
	var refused *ingest.Refusal
	r.input(func(now time.Time) {
		switch {
		case r.stopped || !current():
		case errors.Is(err, ErrEnded):
			r.all.retire(r)
		case errors.Is(err, ErrChanged):
			r.broke(now, i, "codec", err)
		case errors.As(err, &refused):
			r.broke(now, i, "refused", err)
			r.settle() // another route would be refused too
		case by != "":
			r.broke(now, i, string(by), err)
		default:
			r.broke(now, i, string(link.EndingOf(err)), err)
		}
	})
}

// probe starts a probe.
func (r *runner) probe(i int) {
	w := &r.ways[i]
	ctx, cancel := context.WithCancel(r.ctx)
	w.probing = cancel
	o := r.all.link(&r.group, w, r.log)
	key, host, target := w.key, w.host, w.target
	r.work.Go(func() {
		defer cancel()
		ok := false
		err := panics.Run(func() error {
			ok = r.all.probes.probe(ctx, host, target, o, r.group.Probe/2, func(a qos.Attempt) { r.all.histories.attempt(key, a) })
			return nil
		})
		panics.Report(r.log, "probe of a route", err)
		r.input(func(now time.Time) {
			r.ways[i].probing = nil
			if !r.stopped {
				r.perform(now, r.core.Probed(now, i, ok))
			}
		})
	})
}

// lingering is how long a pull on demand goes on without viewers.
const lingering = 10 * time.Second

// watched ends a pull on demand without viewers. r.mu is held.
func (r *runner) watched(now time.Time) {
	if r.watch.IsZero() || r.all.opts.Audience(r.stream) > 0 {
		r.watch = now
	}
	if r.ending() {
		return
	}
	if r.settled && !r.reached.Load() && now.Sub(r.watch) > 0 { // and whoever asks again begins anew
		r.retireHopeless(now)
		return
	}
	if now.Sub(r.watch) >= lingering {
		r.tell(Event{Time: now, Type: Decided, Cause: "unwatched", Detail: "the last viewer has left"})
		r.all.retire(r)
	}
}

// retireHopeless ends a pull on demand of which every route has failed, and for which no viewer waits.
// r.mu is held.
func (r *runner) retireHopeless(now time.Time) {
	absent := true
	for i := range r.ways {
		absent = absent && r.ways[i].absent
	}
	r.tell(Event{Time: now, Type: Decided, Cause: "hopeless", Detail: "no route has the stream, and no viewer is waiting"})
	if absent {
		r.work.Go(func() { // the lock of all comes before the runner's
			r.all.mu.Lock()
			r.all.setAbsent(r.stream, now)
			r.all.mu.Unlock()
		})
	}
	r.all.retire(r)
}
