package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/pull"
	"github.com/holdfast-live/holdfast/relay/route/push"
)

// runner carries one stream over one group of routes. It carries out the decisions of policy.Group
// without waiting: what takes time runs in separate goroutines, for which end waits.
type runner struct {
	all     *Routes
	group   Group
	stream  string
	started time.Time
	log     *slog.Logger
	ctx     context.Context //nolint:containedctx // of everything that the runner starts
	cancel  context.CancelFunc
	woken   chan struct{} // capacity 1; filled when a deadline may be earlier than before
	work    sync.WaitGroup
	once    sync.Once
	// retiring is set before end is called. followed is set if another runner replaces this one.
	// reached is set once a connection was established.
	retiring, followed, reached atomic.Bool
	shutdown                    atomic.Bool // set if end is called because the relay shuts down

	mu          sync.Mutex // guards all below
	core        *policy.Group
	routes      []routeState
	active      int // index of the route that carries the stream; -1: none does
	missing     uint64
	ladder      *policy.Ladder
	ladderKey   string // key of the route whose line the ladder has measured
	offers      []policy.Offer
	offered     time.Time // when offers were refreshed
	choice      policy.Choice
	reason      policy.Reason // reason of the choice
	skips       int
	line        policy.Line
	checked     time.Time // when the active connection was last checked
	scored      time.Time
	allFailed   chan struct{} // closed when every route has failed once, and by end
	settled     bool          // allFailed is closed
	lastWatched time.Time     // when the stream last had a viewer
	stopped     bool
	over        bool // the stream has ended
	events      []Event
}

// routeState is the state of one route in a runner.
type routeState struct {
	Route
	key    string // key of its history
	host   string // key of its breaker; empty: the URL is invalid
	target string // URL without secrets
	tries  int    // dials so far; each starts at a different address of the host

	dialing       context.CancelFunc // cancels the dial in progress; nil: none
	probing       context.CancelFunc // cancels the probe in progress; nil: none
	dialAbandoned bool               // discard the result of the dial in progress
	waiting       bool               // the dial waits for the host's breaker
	failed        bool               // a dial has failed since the runner began
	absent        bool               // at the last dial the origin did not have the stream
	misses        int                // failed dials and broken connections in a row, without sustained media
	last          string             // how the last dial or connection ended

	push  *push.Push // at most one of the two is set
	pull  *pull.Pull
	began time.Time // when the connection was established
	rtt   time.Duration
	score policy.Score
}

func (w *routeState) up() bool { return w.push != nil || w.pull != nil }

func newRunner(all *Routes, g Group, stream string) *runner {
	ctx, cancel := context.WithCancel(all.ctx)
	r := &runner{
		all: all, group: g, stream: stream, ctx: ctx, cancel: cancel, woken: make(chan struct{}, 1),
		log: all.opts.Log.With("stream", stream, "group", g.Name), active: -1, allFailed: make(chan struct{}),
		ladder: policy.NewLadder(g.Ladder),
	}
	names := make([]string, len(g.Routes))
	app, name, _ := strings.Cut(stream, "/")
	fill := strings.NewReplacer("{app}", app, "{name}", name)
	for i, route := range g.Routes {
		names[i] = route.Name
		r.routes = append(r.routes, newRouteState(g.Name, Route{Name: route.Name, URL: fill.Replace(route.URL)}))
	}
	r.core = policy.NewGroup(policy.GroupConfig{
		Routes: names, Backoff: g.Redial, GiveUp: g.GiveUp, After: g.After, Rise: g.Rise, Probe: g.Probe,
	}, all.opts.Chance)
	return r
}

// run runs until end is called. It owns the runner's timer.
func (r *runner) run() {
	r.locked(func(now time.Time) { r.perform(now, r.core.Start(now)) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.woken:
		case <-timer.C:
		}
		var next time.Time
		r.locked(func(now time.Time) { next = r.tick(now) })
		timer.Reset(max(time.Millisecond, time.Until(next)))
	}
}

// locked calls f with r.mu held and afterwards passes the recorded events to the observer.
func (r *runner) locked(f func(now time.Time)) {
	r.mu.Lock()
	f(time.Now())
	events := r.events
	r.events = nil
	r.mu.Unlock()
	for _, e := range events {
		r.all.opts.Observer.Observe(e)
	}
}

// input is like locked, for inputs that may change deadlines.
func (r *runner) input(f func(now time.Time)) {
	r.locked(f)
	r.wake()
}

// wake makes run compute its deadlines again.
func (r *runner) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// record records an event. r.mu is held.
func (r *runner) record(e Event) {
	e.Stream, e.Group = r.stream, r.group.Name
	r.events = append(r.events, e)
}

// sustained is how long media must flow before earlier failures no longer count.
const sustained = 10 * time.Second

// scoreEvery is how often routes are scored.
const scoreEvery = time.Second

// tick does what is due and returns the time of the next call. r.mu is held.
func (r *runner) tick(now time.Time) time.Time {
	if r.stopped {
		return now.Add(time.Hour)
	}
	next := now.Add(time.Minute)
	if r.group.OnDemand {
		next = now.Add(time.Second)
		r.checkAudience(now)
	}
	if r.active >= 0 {
		if now.Sub(r.checked) >= push.CheckInterval { // a tick may have another reason
			r.checked = now
			r.check(now)
		}
		next = r.checked.Add(push.CheckInterval)
	}
	if now.Sub(r.scored) >= scoreEvery {
		r.scored = now
		r.perform(now, r.core.Scores(now, r.scores(now)))
	}
	r.perform(now, r.core.Tick(now))
	if at := r.core.Next(); !at.IsZero() && at.Before(next) {
		next = at
	}
	return next
}

func (r *runner) scores(now time.Time) []policy.Score {
	out := make([]policy.Score, len(r.routes))
	for i := range r.routes {
		w := &r.routes[i]
		w.score = r.all.histories.score(now, w.key)
		if left, reason := r.remainder(); i == r.active && left < 1 {
			w.score = w.score.With(policy.Part{Name: "level", Value: left, Why: reason})
		}
		out[i] = w.score
	}
	return out
}

// sendsAll reports whether the push sends as much as the operator wants: it is at the top of the
// ladder or at a forced rung. r.mu is held.
func (r *runner) sendsAll() bool {
	at := r.choice.Step
	return r.ladder.Forced() != nil || at.Rung == policy.Full ||
		at.Level == 0 && len(r.group.Ladder) > 0 && at.Rung == r.group.Ladder[0].Rung
}

// remainder returns the fraction of the stream's bitrate, 0 to 1, that the line can carry, and the
// reason. It returns 1 if the push is not reduced because of the line. r.mu is held.
func (r *runner) remainder() (share float64, reason string) {
	if len(r.offers) == 0 || r.sendsAll() {
		return 1, ""
	}
	whole := r.offers[0].Rates.Total()
	if whole <= 0 {
		return 1, ""
	}
	rate := r.choice.Step.Rate
	if r.choice.Step.Rung == policy.Trim {
		rate = r.offers[0].Rates.At(policy.Trim, r.choice.Share)
	}
	share = min(max(rate/whole, 0), 1)
	return share, fmt.Sprintf("the rung %s sends %.0f %% of the stream", r.choice.Step.Rung, 100*share)
}

// check checks the active connection. r.mu is held.
func (r *runner) check(now time.Time) {
	w := &r.routes[r.active]
	var reading policy.Reading
	if w.push != nil {
		reading = w.push.Check(now)
	} else {
		reading = w.pull.Check(now)
	}
	r.line, w.rtt = reading.Line, reading.RTT
	if reading.Sample != nil {
		r.all.histories.sample(w.key, *reading.Sample)
		r.all.tallies.add(r.group.Name, w.Name, reading.Sample)
	}
	if reading.Failure != "" {
		r.broke(now, r.active, reading.Failure, nil)
		return
	}
	if reading.Advanced {
		if now.Sub(w.began) >= sustained {
			w.misses = 0
		}
		r.perform(now, r.core.Delivered(now, r.active))
	}
	if w.push != nil && r.active >= 0 && !reading.Blind {
		r.stepLadder(now, w.push)
	}
}

// broke closes the connection of route i. err is the error that ended it, or nil if the runner gives
// it up. r.mu is held.
func (r *runner) broke(now time.Time, i int, cause string, err error) {
	w := &r.routes[i]
	lasted := now.Sub(w.began)
	detail := cause
	if err != nil {
		detail = err.Error()
	}
	changed := errors.Is(err, push.ErrChanged)
	r.missing = 0 // packets from before a change of codecs are useless after it
	if w.push != nil && !changed {
		r.missing = w.push.Missing(now)
	}
	w.misses++
	r.closeAsync(w, cause, changed)
	w.last = detail
	if i == r.active {
		r.active = -1
		r.line = policy.Line{}
	}
	r.all.histories.broke(now, w.key, cause, lasted)
	r.record(Event{Time: now, Type: Broke, Route: w.Name, Cause: cause, Detail: detail, Took: lasted})
	if r.over {
		r.all.retire(r)
		return
	}
	r.perform(now, r.core.Broke(now, i, cause))
}

// streamEnded retires the runner, unless the last packets of the stream are still being sent.
func (r *runner) streamEnded() {
	r.locked(func(time.Time) {
		r.over = true
		if r.active < 0 {
			r.all.retire(r)
		}
	})
}

// closeAsync closes a route's connection without waiting. If politely is true, a push is unpublished
// first. r.mu is held.
func (r *runner) closeAsync(w *routeState, cause string, politely bool) {
	d := dialed{push: w.push, pull: w.pull}
	w.push, w.pull, w.rtt = nil, nil, 0
	r.work.Go(func() {
		switch {
		case d.push != nil && politely:
			d.push.End()
		case d.push != nil:
			d.push.Abort()
		case d.pull != nil:
			d.pull.Abort(ingest.Cause(cause))
		}
	})
}

// end stops everything that the runner has started and waits for it. A push is unpublished.
func (r *runner) end() {
	r.once.Do(func() {
		r.mu.Lock()
		r.stopped = true
		for i := range r.routes {
			w := &r.routes[i]
			d := dialed{push: w.push, pull: w.pull}
			w.push, w.pull = nil, nil
			r.work.Go(func() {
				switch {
				case d.pull != nil && r.followed.Load(): // a break, not the stream's end
					d.pull.Abort(ingest.Reset)
				case d.pull != nil && r.shutdown.Load():
					d.pull.Abort(ingest.Shutdown)
				default:
					d.close()
				}
			})
		}
		r.active = -1
		r.settleFailed()
		r.mu.Unlock()
		r.cancel()
	})
	r.work.Wait()
}

// ending reports whether the runner is about to end or has ended.
func (r *runner) ending() bool { return r.retiring.Load() }

// settleFailed releases the viewers that wait for a route to carry the stream. r.mu is
// held.
func (r *runner) settleFailed() {
	if !r.settled {
		r.settled = true
		close(r.allFailed)
	}
}
