package rendition

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// timing is how patient Renditions are. Tests are less so.
type timing struct {
	lease  time.Duration // how long a Want counts
	idle   time.Duration // how long a child goes on that nobody wants
	hang   time.Duration // how long a child may keep an answer, or be behind
	late   time.Duration // how old a packet may be that a child takes before the child is behind
	drain  time.Duration // how long a child may take to its last word
	tick   time.Duration // how often all that is looked at
	steady time.Duration // after which a child's end is no longer a quick failure
	pause  time.Duration // before what was given up is tried again
	full   time.Duration // the same where there were too many children
	after  int           // quick failures after which a rendition is given up
}

var patience = timing{
	lease: 15 * time.Second, idle: 10 * time.Second, hang: 10 * time.Second, late: 3 * time.Second, drain: 2 * time.Second,
	tick: time.Second, steady: 30 * time.Second, pause: 30 * time.Second, full: 5 * time.Second, after: 4,
}

// Renditions are the renditions that children of this process make.
type Renditions struct {
	o        Options
	timing   timing
	work     sync.WaitGroup
	hopeless chan struct{} // closed: for what there is no hope of now
	sessions atomic.Uint64 // so far

	mu      sync.Mutex // guards all below
	max     int
	closed  bool
	missing bool                 // the program's lack was told
	makings map[string]*making   // by app/name~rendition
	pauses  map[string]time.Time // until when what was given up is left alone
}

// New returns Renditions that have no child yet.
func New(o Options) *Renditions {
	o.normalize()
	r := &Renditions{
		o: o, timing: patience, hopeless: make(chan struct{}), max: o.Max,
		makings: map[string]*making{}, pauses: map[string]time.Time{},
	}
	close(r.hopeless)
	return r
}

// Of is what is configured for a stream.
func (r *Renditions) Of(stream string) []Rendition { return r.o.Of(stream) }

// Makes tells whether app/name~rendition is fed by a child right now.
func (r *Renditions) Makes(full string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.makings[full]
	return m != nil && m.feeds.Load()
}

// SetMax changes how many children there may be at a time. Those that run are not ended.
func (r *Renditions) SetMax(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.max = n
}

// Want says that somebody wants app/name~rendition, for the next 15 seconds at least. It is
// started unless it runs. ok is false if it is not configured, if the stream is not live, or
// if somebody else publishes it. hopeless is closed when it is not going to come, or is over.
func (r *Renditions) Want(full string) (hopeless <-chan struct{}, ok bool) {
	parent, rendition, ok := r.configured(full)
	if !ok {
		return nil, false
	}
	if hopeless, ok := r.renew(full); ok {
		return hopeless, true
	}
	if r.o.Taken != nil && r.o.Taken(full) {
		return nil, false
	}
	tap, err := r.o.Tap(parent)
	if err != nil {
		return nil, false
	}
	program, err := exec.LookPath(r.o.Program)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoProgram, err)
	}
	m := &making{of: r, full: full, parent: parent, rendition: rendition, program: program}
	if !r.begin(m, tap, err) {
		tap.Close()
	}
	return r.renew(full) // also where another was quicker, or there is no hope
}

// configured finds the configuration of app/name~rendition.
func (r *Renditions) configured(full string) (parent string, rendition Rendition, ok bool) {
	i := strings.LastIndexByte(full, '~')
	if i < 0 {
		return "", Rendition{}, false
	}
	parent = full[:i]
	all := r.o.Of(parent)
	at := slices.IndexFunc(all, func(one Rendition) bool { return one.Name == full[i+1:] })
	if at < 0 {
		return "", Rendition{}, false
	}
	return parent, all[at], true
}

// renew gives a rendition that is being made another lease. One that was given up a short
// while ago is left alone.
func (r *Renditions) renew(full string) (hopeless <-chan struct{}, ok bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.makings[full]; m != nil {
		m.lease(now.Add(r.timing.lease))
		return m.over, true
	}
	for name, until := range r.pauses {
		if !now.Before(until) {
			delete(r.pauses, name)
		}
	}
	_, paused := r.pauses[full]
	return r.hopeless, paused
}

// begin starts a rendition if there is room for it. err says that its program is missing.
func (r *Renditions) begin(m *making, tap Tap, err error) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.makings[m.full] != nil {
		return false
	}
	if err != nil {
		if !r.missing {
			r.o.Log.Error("rendition is not made", "stream", m.full, "err", err)
		}
		r.missing = true
		r.pauses[m.full] = now.Add(r.timing.pause)
		return false
	}
	r.missing = false
	if len(r.makings) >= r.max {
		r.o.Log.Warn("rendition is not made", "stream", m.full, "err", errLimit, "limit", r.max)
		r.pauses[m.full] = now.Add(r.timing.full)
		return false
	}
	m.begin(now)
	r.makings[m.full] = m
	r.work.Go(func() { m.run(tap) })
	return true
}

// forget takes a rendition that is over out, and leaves it alone for so long.
func (r *Renditions) forget(m *making, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.makings, m.full)
	if pause > 0 {
		r.pauses[m.full] = time.Now().Add(pause)
	}
}

// Reconfigure asks anew what is configured. What has gone ends; what has changed begins anew;
// what was given up is tried again.
func (r *Renditions) Reconfigure() {
	r.mu.Lock()
	clear(r.pauses)
	r.missing = false
	all := make([]*making, 0, len(r.makings))
	for _, m := range r.makings {
		all = append(all, m)
	}
	r.mu.Unlock()
	for _, m := range all {
		_, rendition, ok := r.configured(m.full)
		m.configure(rendition, ok)
	}
}

// Close ends all children and waits until nothing is left of them.
func (r *Renditions) Close() {
	r.mu.Lock()
	r.closed = true
	for _, m := range r.makings {
		m.cancel(errClosing)
	}
	r.mu.Unlock()
	r.work.Wait()
}

// Why a rendition is over.
var (
	errClosing  = errors.New("the relay is shutting down")
	errRemoved  = errors.New("it is no longer configured")
	errUnwanted = errors.New("nobody wants it")
	errOver     = errors.New("the stream has ended")
	errYield    = errors.New("somebody else publishes it")
)
