package route

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/dial"
	"github.com/holdfast-live/holdfast/relay/route/link"
	"github.com/holdfast-live/holdfast/relay/route/pull"
)

// Routes runs all routes of a relay. There is a runner for each stream and each group that matches
// it.
type Routes struct {
	opts      Options
	hosts     *dial.Hosts
	selfPush  *dial.SelfPush
	probes    *dial.Probes
	histories *histories
	tallies   tallies
	sessions  atomic.Uint64
	ctx       context.Context //nolint:containedctx // done when all routes have to end
	cancel    context.CancelFunc
	late      context.Context //nolint:containedctx // done when no time is left for unpublishes
	hurry     context.CancelFunc
	work      sync.WaitGroup
	began     sync.Once

	mu       sync.Mutex // guards all below
	groups   []Group
	runners  map[runnerKey]*runner
	absent   map[string]time.Time // streams that no origin had, and until when origins are not asked again
	again    map[runnerKey]bool   // runners that are ending and will be replaced by another
	ceilings map[string]*policy.Ceiling
	closed   bool
}

// runnerKey identifies a runner.
type runnerKey struct{ stream, group string }

// New returns Routes. Pulls that are not on demand start at once. Close ends them.
func New(o Options) (*Routes, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	late, hurry := context.WithCancel(context.Background())
	h := dial.NewHosts(o.Breaker)
	r := &Routes{
		opts: o, hosts: h, selfPush: dial.NewSelfPush(), probes: dial.NewProbes(h), histories: newHistories(o.History),
		ctx: ctx, cancel: cancel, late: late, hurry: hurry,
		runners: map[runnerKey]*runner{}, absent: map[string]time.Time{}, again: map[runnerKey]bool{}, ceilings: map[string]*policy.Ceiling{},
	}
	if len(o.Groups) > 0 {
		r.Reload(o.Groups, o.Breaker)
	}
	return r, nil
}

// Reload replaces the groups. Runners of unchanged groups continue. Runners of groups that changed
// or were removed end, and are started again for the groups that changed.
func (r *Routes) Reload(groups []Group, breaker policy.BreakerConfig) {
	r.hosts.Configure(breaker)
	r.began.Do(func() { r.work.Go(r.watchCeilings) })
	r.mu.Lock()
	r.groups = groups
	var ending []*runner
	for at, run := range r.runners {
		if g := find(groups, at.group); g == nil || !g.equal(&run.group) {
			ending = append(ending, run)
			r.again[at] = g != nil && g.Pull // a push is started again if its stream is live; see retire
			run.followed.Store(r.again[at] && g.matches(at.stream))
		}
	}
	for _, g := range groups {
		if g.Pull && !g.OnDemand {
			r.start(&g, g.Match)
		}
	}
	r.mu.Unlock()
	for _, run := range ending {
		r.retire(run)
	}
	for _, stream := range r.opts.Live() {
		r.Live(stream)
	}
}

func find(groups []Group, name string) *Group {
	for i := range groups {
		if groups[i].Name == name {
			return &groups[i]
		}
	}
	return nil
}

// Live starts the pushes of a stream that has gone live.
func (r *Routes) Live(stream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.groups {
		if g := &r.groups[i]; !g.Pull && g.matches(stream) {
			r.start(g, stream)
		}
	}
}

// Ended ends the pushes of a stream that has ended: active pushes after its last packet, others at
// once.
func (r *Routes) Ended(stream string) {
	r.mu.Lock()
	delete(r.ceilings, stream) // the next publisher has not been asked to send less
	var pushes []*runner
	for at, run := range r.runners {
		if at.stream == stream && !run.group.Pull {
			pushes = append(pushes, run)
			delete(r.again, at)
		}
	}
	r.mu.Unlock()
	for _, run := range pushes {
		run.streamEnded()
	}
}

// Want starts a pull on demand of a stream that does not exist. ok reports whether a pull is
// running. failed is closed once all of its routes have failed.
func (r *Routes) Want(stream string) (failed <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.groups {
		if g := &r.groups[i]; g.Pull && g.OnDemand && g.matches(stream) && !r.isAbsent(stream) {
			instead, ok := r.makeRoom(runnerKey{stream, g.Name}, time.Now())
			if !ok {
				continue
			}
			if instead != nil {
				r.retire(instead)
			}
			if run := r.start(g, stream); run != nil {
				return run.allFailed, true
			}
		}
	}
	return nil, false
}

// Brings reports whether a pull of the stream is running or Want would start one. Like Want, it
// skips a group that is full.
func (r *Routes) Brings(stream string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.groups {
		if g := &r.groups[i]; g.Pull && g.OnDemand && g.matches(stream) && !r.closed && !r.isAbsent(stream) {
			if _, ok := r.makeRoom(runnerKey{stream, g.Name}, time.Now()); ok {
				return true
			}
		}
	}
	return false
}

// matches reports whether a group matches a stream. A rendition matches only patterns that contain a
// ~.
func (g *Group) matches(stream string) bool {
	ok, err := path.Match(g.Match, stream)
	return err == nil && ok && (!strings.Contains(stream, "~") || strings.Contains(g.Match, "~"))
}

// start returns the runner of a stream in a group, and starts it if it does not exist. It returns
// nil if r is closed. r.mu is held.
func (r *Routes) start(g *Group, stream string) *runner {
	at := runnerKey{stream, g.Name}
	if run := r.runners[at]; run != nil {
		if run.ending() {
			r.again[at] = true
		}
		return run
	}
	if r.closed {
		return nil
	}
	run := newRunner(r, *g, stream)
	run.started = time.Now()
	r.runners[at] = run
	r.work.Go(run.run)
	return run
}

// retire ends a runner without waiting. Another runner follows if one was requested, and for a push
// also if its stream is live again.
func (r *Routes) retire(run *runner) {
	run.retiring.Store(true)
	r.work.Go(func() {
		run.end()
		at := runnerKey{run.stream, run.group.Name}
		live := slices.Contains(r.opts.Live(), at.stream)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.runners[at] != run {
			return
		}
		delete(r.runners, at)
		again := r.again[at]
		delete(r.again, at)
		if g := find(r.groups, at.group); g != nil && g.matches(at.stream) && (again || live && !g.Pull) {
			r.start(g, at.stream)
		}
	})
}

// Close ends all routes and waits for them. Until ctx is done, it waits for pushes to be
// unpublished.
func (r *Routes) Close(ctx context.Context) {
	defer context.AfterFunc(ctx, r.hurry)()
	r.mu.Lock()
	r.closed = true
	runners := make([]*runner, 0, len(r.runners))
	for _, run := range r.runners {
		runners = append(runners, run)
	}
	clear(r.again)
	r.mu.Unlock()
	for _, run := range runners {
		run.shutdown.Store(true)
		r.retire(run)
	}
	for _, run := range runners {
		run.end()
	}
	r.cancel()
	r.work.Wait()
	r.hurry()
	r.hosts.Close()
}

// Histories encodes the histories of all routes, to be kept over a restart; see DecodeHistories.
func (r *Routes) Histories() ([]byte, error) { return r.histories.encode() }

// linkOptions returns the options for dialing a route.
func (r *Routes) linkOptions(g *Group, w *routeState, log *slog.Logger) link.Options {
	return link.Options{
		Redirects: g.Redirects, URL: w.URL, First: w.tries, Dialer: r.opts.Dialer, Resolve: r.opts.Resolve, Log: log.With("route", w.Name),
	}
}

// nextSession returns a new ID for the session of a pull.
func (r *Routes) nextSession() string { return fmt.Sprintf("pull-%d", r.sessions.Add(1)) }

// Pushes returns the stream that this relay itself is dialing to push from the local address
// host:port, or "" if the relay is not dialing from that address.
func (r *Routes) Pushes(local string) string { return r.selfPush.Stream(local) }

// pullOptions returns the options of a pull of a stream from a target.
func (r *Routes) pullOptions(stream, target string, repairs *ingest.RepairLog) pull.Options {
	app, name, _ := strings.Cut(stream, "/")
	o := pull.Options{
		Access: r.opts.Access, Log: r.opts.Log, Repairs: repairs,
		Request: ingest.Request{App: app, Name: name, Protocol: ingest.Pull, Remote: target},
	}
	if r.opts.Silence != nil {
		o.Silence = r.opts.Silence(stream)
	}
	return o
}

// ceilingInterval is how often the capacity of all pushes of a stream is compared with the stream's
// bitrate.
const ceilingInterval = time.Second

func (r *Routes) watchCeilings() {
	tick := time.NewTicker(ceilingInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case now := <-tick.C:
			r.applyCeilings(now)
		}
	}
}

// applyCeilings asks the publishers of streams to send less if all pushes of the stream lack
// capacity, or to send more again.
func (r *Routes) applyCeilings(now time.Time) {
	r.mu.Lock()
	carried := map[string][]policy.Carried{}
	sent := map[string]float64{}
	for at, run := range r.runners {
		if run.group.Pull {
			continue
		}
		c, bits := run.carried(now)
		carried[at.stream] = append(carried[at.stream], c)
		sent[at.stream] = max(sent[at.stream], bits)
	}
	type change struct {
		stream string
		bits   float64
		why    policy.Reason
	}
	var changes []change
	for stream, routes := range carried {
		c := r.ceilings[stream]
		if c == nil {
			c = &policy.Ceiling{}
			r.ceilings[stream] = c
		}
		if reason := c.Step(now, sent[stream], routes); reason.Cause != "" {
			changes = append(changes, change{stream, c.Bits(), reason})
		}
	}
	for stream := range r.ceilings {
		if carried[stream] == nil {
			delete(r.ceilings, stream)
			changes = append(changes, change{stream: stream})
		}
	}
	r.mu.Unlock()
	for _, c := range changes {
		r.opts.Streams.Limit(c.stream, c.bits)
		if c.why.Cause != "" {
			r.opts.Observer.Observe(Event{
				Time: now, Type: Ceiling, Stream: c.stream, Cause: c.why.Cause, Detail: c.why.Text, Bits: c.bits,
			})
		}
	}
}
