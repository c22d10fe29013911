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
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// Routes are all routes of a relay: for each stream and each group that it matches a runner.
type Routes struct {
	opts      Options
	hosts     *hosts
	loops     *loops
	probes    *probes
	histories *histories
	tallies   tallies
	sessions  atomic.Uint64
	ctx       context.Context //nolint:containedctx // of all that runs
	cancel    context.CancelFunc
	late      context.Context //nolint:containedctx // ends when there is no time for goodbyes
	hurry     context.CancelFunc
	work      sync.WaitGroup
	began     sync.Once

	mu       sync.Mutex // guards all below
	groups   []Group
	runners  map[place]*runner
	absent   map[string]time.Time // streams that no origin had, and until when nobody is asked again
	again    map[place]bool       // a runner that is ending is to be followed by another
	ceilings map[string]*policy.Ceiling
	closed   bool
}

// place is what a runner is there for.
type place struct{ stream, group string }

// New returns Routes of which those that need no stream run already. Close ends them.
func New(o Options) (*Routes, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	late, hurry := context.WithCancel(context.Background())
	h := newHosts(o.Breaker)
	r := &Routes{
		opts: o, hosts: h, loops: newLoops(), probes: newProbes(h), histories: newHistories(o.History),
		ctx: ctx, cancel: cancel, late: late, hurry: hurry,
		runners: map[place]*runner{}, absent: map[string]time.Time{}, again: map[place]bool{}, ceilings: map[string]*policy.Ceiling{},
	}
	if len(o.Groups) > 0 {
		r.Reload(o.Groups, o.Breaker)
	}
	return r, nil
}

// Reload puts other groups in force. What a group that did not change carries goes on; what one
// that changed or went carries ends, and of one that changed begins anew.
func (r *Routes) Reload(groups []Group, breaker policy.BreakerConfig) {
	r.hosts.configure(breaker)
	r.began.Do(func() { r.work.Go(r.watchCeilings) })
	r.mu.Lock()
	r.groups = groups
	var ending []*runner
	for at, run := range r.runners {
		if g := find(groups, at.group); g == nil || !g.equal(&run.group) {
			ending = append(ending, run)
			r.again[at] = g != nil && g.Pull // a push begins anew if its stream is live, see retire
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

// Live is told when a stream has gone live.
func (r *Routes) Live(stream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.groups {
		if g := &r.groups[i]; !g.Pull && g.matches(stream) {
			r.start(g, stream)
		}
	}
}

// Ended is told when a stream is over. What still carries it ends with the last of its packets,
// all others at once.
func (r *Routes) Ended(stream string) {
	r.mu.Lock()
	delete(r.ceilings, stream) // nobody has asked the publisher of one that comes after it
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

// Want is asked when somebody wants a stream that is not there. With ok a pull on demand is on
// its way to it; hopeless is closed when every route has failed.
func (r *Routes) Want(stream string) (hopeless <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.groups {
		if g := &r.groups[i]; g.Pull && g.OnDemand && g.matches(stream) && !r.isAbsent(stream) {
			instead, ok := r.room(place{stream, g.Name}, time.Now())
			if !ok {
				continue
			}
			if instead != nil {
				r.retire(instead)
			}
			if run := r.start(g, stream); run != nil {
				return run.hopeless, true
			}
		}
	}
	return nil, false
}

// Brings reports whether Want would start a pull of the stream, or has one running. Like Want it tries
// the next group where one has no room.
func (r *Routes) Brings(stream string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.groups {
		if g := &r.groups[i]; g.Pull && g.OnDemand && g.matches(stream) && !r.closed && !r.isAbsent(stream) {
			if _, ok := r.room(place{stream, g.Name}, time.Now()); ok {
				return true
			}
		}
	}
	return false
}

// matches tells whether a group is for a stream. Renditions are only meant by a pattern that
// says so.
func (g *Group) matches(stream string) bool {
	ok, err := path.Match(g.Match, stream)
	return err == nil && ok && (!strings.Contains(stream, "~") || strings.Contains(g.Match, "~"))
}

// start starts the runner of a stream in a group, unless there is one. r.mu is held.
func (r *Routes) start(g *Group, stream string) *runner {
	at := place{stream, g.Name}
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

// retire ends a runner, without waiting. Another follows where one is asked for; of a push also
// where its stream has come again meanwhile.
func (r *Routes) retire(run *runner) {
	run.retiring.Store(true)
	r.work.Go(func() {
		run.end()
		at := place{run.stream, run.group.Name}
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

// Close ends all routes, pushes in the protocol's words as long as ctx leaves time for them, and
// waits for them.
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
	r.hosts.close()
}

// Histories is what is known of all routes, to be kept over a restart; see DecodeHistories.
func (r *Routes) Histories() ([]byte, error) { return r.histories.encode() }

// link is how a route is dialled.
func (r *Routes) link(g *Group, w *way, log *slog.Logger) link.Options {
	return link.Options{
		Redirects: g.Redirects, URL: w.URL, First: w.tries, Dialer: r.opts.Dialer, Resolve: r.opts.Resolve, Log: log.With("route", w.Name),
	}
}

// session is a name for a pull's session.
func (r *Routes) session() string { return fmt.Sprintf("pull-%d", r.sessions.Add(1)) }

func (r *Routes) puller(stream, target string) puller {
	app, name, _ := strings.Cut(stream, "/")
	p := puller{access: r.opts.Access, log: r.opts.Log, request: ingest.Request{App: app, Name: name, Protocol: ingest.Pull, Remote: target}}
	if r.opts.Silence != nil {
		p.silence = r.opts.Silence(stream)
	}
	return p
}

// ceilingEvery is how often it is asked whether all outward routes of a stream are short.
const ceilingEvery = time.Second

func (r *Routes) watchCeilings() {
	tick := time.NewTicker(ceilingEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case now := <-tick.C:
			r.askPublishers(now)
		}
	}
}

// askPublishers has the publishers asked for less, or for more again.
func (r *Routes) askPublishers(now time.Time) {
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
		if why := c.Step(now, sent[stream], routes); why.Cause != "" {
			changes = append(changes, change{stream, c.Bits(), why})
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
