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
)

// runner carries one stream over one group of routes. What the core decides is performed
// without waiting; what takes time has goroutines, which end waits for.
type runner struct {
	all     *Routes
	group   Group
	stream  string
	started time.Time
	log     *slog.Logger
	ctx     context.Context //nolint:containedctx // of all that it starts
	cancel  context.CancelFunc
	poked   chan struct{} // of one: a deadline may have come nearer
	work    sync.WaitGroup
	once    sync.Once
	// retiring is set when end is going to be called, followed when another comes in its place,
	// reached when a far side was.
	retiring, followed, reached atomic.Bool
	shutdown                    atomic.Bool // end is called because the relay ends

	mu       sync.Mutex // guards all below
	core     *policy.Group
	ways     []way
	active   int // -1: none carries
	missing  uint64
	ladder   *policy.Ladder
	climbed  string // the key of the route whose line the ladder knows
	offers   []policy.Offer
	offered  time.Time // when offers were looked up
	choice   policy.Choice
	reason   policy.Reason // of the choice
	skips    int
	line     policy.Line
	looked   time.Time // when the connection that carries was last looked at
	scored   time.Time
	hopeless chan struct{} // closed when every route has failed once, and at the end
	settled  bool          // it is closed
	watch    time.Time     // when somebody last watched
	stopped  bool
	over     bool // its stream is
	events   []Event
}

// way is one route of a runner.
type way struct {
	Route
	key    string // of its history
	host   string // of its breaker; empty: the URL is wrong
	target string // to be shown
	tries  int    // dials so far: each begins at another address

	dialing context.CancelFunc // nil: no dial is under way
	probing context.CancelFunc // the same of probes
	unlike  bool               // the dial under way is not wanted any more
	waiting bool               // for its turn with the host
	failed  bool               // since the runner began
	absent  bool               // the far side said that it has no such stream, at the last dial
	misses  int                // dials that failed and connections that broke, without sustained media between
	last    string             // how the last dial or connection ended

	push  *pushing // at most one of them
	pull  *pulling
	began time.Time // of the connection
	rtt   time.Duration
	score policy.Score
}

func (w *way) up() bool { return w.push != nil || w.pull != nil }

func newRunner(all *Routes, g Group, stream string) *runner {
	ctx, cancel := context.WithCancel(all.ctx)
	r := &runner{
		all: all, group: g, stream: stream, ctx: ctx, cancel: cancel, poked: make(chan struct{}, 1),
		log: all.opts.Log.With("stream", stream, "group", g.Name), active: -1, hopeless: make(chan struct{}),
		ladder: policy.NewLadder(g.Ladder),
	}
	names := make([]string, len(g.Routes))
	app, name, _ := strings.Cut(stream, "/")
	fill := strings.NewReplacer("{app}", app, "{name}", name)
	for i, route := range g.Routes {
		names[i] = route.Name
		r.ways = append(r.ways, newWay(g.Name, Route{Name: route.Name, URL: fill.Replace(route.URL)}))
	}
	r.core = policy.NewGroup(policy.GroupConfig{
		Routes: names, Backoff: g.Redial, GiveUp: g.GiveUp, After: g.After, Rise: g.Rise, Probe: g.Probe,
	}, all.opts.Chance)
	return r
}

// run goes on until end. It owns the runner's timer.
func (r *runner) run() {
	r.locked(func(now time.Time) { r.perform(now, r.core.Start(now)) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.poked:
		case <-timer.C:
		}
		var next time.Time
		r.locked(func(now time.Time) { next = r.tick(now) })
		timer.Reset(max(time.Millisecond, time.Until(next)))
	}
}

// locked does f under the lock, and tells afterwards what happened.
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

// input is locked, after which the deadlines are looked at again.
func (r *runner) input(f func(now time.Time)) {
	r.locked(f)
	r.poke()
}

// poke has the deadlines looked at again.
func (r *runner) poke() {
	select {
	case r.poked <- struct{}{}:
	default:
	}
}

// tell notes an event. r.mu is held.
func (r *runner) tell(e Event) {
	e.Stream, e.Group = r.stream, r.group.Name
	r.events = append(r.events, e)
}

// sustained is how long media has to have gone well before what was before is forgotten.
const sustained = 10 * time.Second

// scoreEvery is how often routes are scored.
const scoreEvery = time.Second

// tick does what is due and returns when to come again. r.mu is held.
func (r *runner) tick(now time.Time) time.Time {
	if r.stopped {
		return now.Add(time.Hour)
	}
	next := now.Add(time.Minute)
	if r.group.OnDemand {
		next = now.Add(time.Second)
		r.watched(now)
	}
	if r.active >= 0 {
		if now.Sub(r.looked) >= lookEvery { // a tick may come for another reason
			r.looked = now
			r.look(now)
		}
		next = r.looked.Add(lookEvery)
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
	out := make([]policy.Score, len(r.ways))
	for i := range r.ways {
		w := &r.ways[i]
		w.score = r.all.histories.score(now, w.key)
		if left, why := r.left(); i == r.active && left < 1 {
			w.score = w.score.With(policy.Part{Name: "level", Value: left, Why: why})
		}
		out[i] = w.score
	}
	return out
}

// whole tells whether as much is sent as the operator wants: what stands at the top of the
// ladder, or what is forced. r.mu is held.
func (r *runner) whole() bool {
	at := r.choice.Step
	return r.ladder.Forced() != nil || at.Rung == policy.Full ||
		at.Level == 0 && len(r.group.Ladder) > 0 && at.Rung == r.group.Ladder[0].Rung
}

// left is what share of the stream's bits the line leaves it, and why; 1 where less is not the
// line's fault. r.mu is held.
func (r *runner) left() (share float64, why string) {
	if len(r.offers) == 0 || r.whole() {
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

// look looks at the connection that carries. r.mu is held.
func (r *runner) look(now time.Time) {
	w := &r.ways[r.active]
	var v view
	if w.push != nil {
		v = w.push.look(now)
	} else {
		v = w.pull.look(now)
	}
	r.line, w.rtt = v.line, v.rtt
	if v.sample != nil {
		r.all.histories.sample(w.key, *v.sample)
		r.all.tallies.add(r.group.Name, w.Name, v.sample)
	}
	if v.trouble != "" {
		r.broke(now, r.active, v.trouble, nil)
		return
	}
	if v.moved {
		if now.Sub(w.began) >= sustained {
			w.misses = 0
		}
		r.perform(now, r.core.Delivered(now, r.active))
	}
	if w.push != nil && r.active >= 0 && !v.blind {
		r.climb(now, w.push)
	}
}

// broke takes the connection that carries out of use. err is how it ended; nil: it is given up
// here. r.mu is held.
func (r *runner) broke(now time.Time, i int, cause string, err error) {
	w := &r.ways[i]
	lasted := now.Sub(w.began)
	detail := cause
	if err != nil {
		detail = err.Error()
	}
	changed := errors.Is(err, ErrChanged)
	r.missing = 0 // nothing of before a change of codecs is of use after it
	if w.push != nil && !changed {
		r.missing = w.push.missing(now)
	}
	w.misses++
	r.bury(w, cause, changed)
	w.last = detail
	if i == r.active {
		r.active = -1
		r.line = policy.Line{}
	}
	r.all.histories.broke(now, w.key, cause, lasted)
	r.tell(Event{Time: now, Type: Broke, Route: w.Name, Cause: cause, Detail: detail, Took: lasted})
	if r.over {
		r.all.retire(r)
		return
	}
	r.perform(now, r.core.Broke(now, i, cause))
}

// streamEnded ends the runner, unless the last of the stream is still being sent.
func (r *runner) streamEnded() {
	r.locked(func(time.Time) {
		r.over = true
		if r.active < 0 {
			r.all.retire(r)
		}
	})
}

// bury has what is left of a connection cleared away; politely is in the protocol's words.
// r.mu is held.
func (r *runner) bury(w *way, cause string, politely bool) {
	push, pull := w.push, w.pull
	w.push, w.pull, w.rtt = nil, nil, 0
	r.work.Go(func() {
		switch {
		case push != nil && politely:
			push.end()
		case push != nil:
			push.kill()
		case pull != nil:
			pull.kill(ingest.Cause(cause))
		}
	})
}

// end stops all that the runner has started and waits for it. A push is ended in the
// protocol's words.
func (r *runner) end() {
	r.once.Do(func() {
		r.mu.Lock()
		r.stopped = true
		for i := range r.ways {
			w := &r.ways[i]
			push, pull := w.push, w.pull
			w.push, w.pull = nil, nil
			r.work.Go(func() {
				if push != nil {
					push.end()
				}
				switch {
				case pull != nil && r.followed.Load(): // a break, not the stream's end
					pull.kill(ingest.Reset)
				case pull != nil && r.shutdown.Load():
					pull.kill(ingest.Shutdown)
				case pull != nil:
					pull.end()
				}
			})
		}
		r.active = -1
		r.settle()
		r.mu.Unlock()
		r.cancel()
	})
	r.work.Wait()
}

// ending tells whether the runner is about to end, or has.
func (r *runner) ending() bool { return r.retiring.Load() }

// settle lets those go who wait for a route to carry. r.mu is held.
func (r *runner) settle() {
	if !r.settled {
		r.settled = true
		close(r.hopeless)
	}
}
