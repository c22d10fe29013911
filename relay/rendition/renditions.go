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

// timing holds the durations used by Renditions and Bridges. Tests use shorter ones.
type timing struct {
	lease  time.Duration // how long a call of Want is valid
	idle   time.Duration // how long a child continues when it is not wanted
	hang   time.Duration // how long output may be due, or the child behind
	late   time.Duration // age of packets at which a child counts as behind
	drain  time.Duration // how long a child may write after its input ended
	tick   time.Duration // interval of checks
	steady time.Duration // run time after which a failure is not a quick one
	pause  time.Duration // delay before a failed rendition is tried again
	full   time.Duration // delay before a retry if too many children were running
	after  int           // number of quick failures after which a rendition is stopped
}

var renditionTiming = timing{
	lease: 15 * time.Second, idle: 10 * time.Second, hang: 10 * time.Second, late: 3 * time.Second, drain: 2 * time.Second,
	tick: time.Second, steady: 30 * time.Second, pause: 30 * time.Second, full: 5 * time.Second, after: 4,
}

// Renditions manages the renditions that this process makes.
type Renditions struct {
	o        Options
	timing   timing
	work     sync.WaitGroup
	hopeless chan struct{} // a closed channel; returned for renditions that cannot start now
	sessions atomic.Uint64 // number of sessions so far

	mu            sync.Mutex // guards the fields below
	max           int
	closed        bool
	missingLogged bool                  // it was logged that ffmpeg is missing
	transcodes    map[string]*transcode // by app/name~rendition
	pauses        map[string]time.Time  // when stopped renditions may start again
}

// New returns Renditions without a running child.
func New(o Options) *Renditions {
	o.normalize()
	r := &Renditions{
		o: o, timing: renditionTiming, hopeless: make(chan struct{}), max: o.Max,
		transcodes: map[string]*transcode{}, pauses: map[string]time.Time{},
	}
	close(r.hopeless)
	return r
}

// Of returns the configured renditions of a stream.
func (r *Renditions) Of(stream string) []Rendition { return r.o.Of(stream) }

// Makes reports whether a child is publishing app/name~rendition.
func (r *Renditions) Makes(full string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.transcodes[full]
	return m != nil && m.publishing.Load()
}

// SetMax sets the maximum number of concurrent children. It does not end running children.
func (r *Renditions) SetMax(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.max = n
}

// Want requests app/name~rendition for at least the next 15 seconds, and starts it if it is not
// running. ok is false if the rendition is not configured, if the stream is not live, or if another
// publisher has the rendition. hopeless is closed when the rendition cannot start or has ended.
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
	m := &transcode{renditions: r, full: full, parent: parent, rendition: rendition, program: program}
	if !r.start(m, tap, err) {
		tap.Close()
	}
	return r.renew(full) // also if another call has started it, or if it cannot start
}

// configured returns the name of the parent stream and the configuration of app/name~rendition.
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

// renew extends the lease of a running rendition. For a rendition that was stopped recently, it
// returns a closed channel, and ok is also true.
func (r *Renditions) renew(full string) (hopeless <-chan struct{}, ok bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.transcodes[full]; m != nil {
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

// start starts a rendition if the limit allows it, and reports whether it did. A non-nil err means
// that ffmpeg is missing.
func (r *Renditions) start(m *transcode, tap Tap, err error) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.transcodes[m.full] != nil {
		return false
	}
	if err != nil {
		if !r.missingLogged {
			r.o.Log.Error("rendition not started", "stream", m.full, "err", err)
		}
		r.missingLogged = true
		r.pauses[m.full] = now.Add(r.timing.pause)
		return false
	}
	r.missingLogged = false
	if len(r.transcodes) >= r.max {
		r.o.Log.Warn("rendition not started", "stream", m.full, "err", errLimit, "limit", r.max)
		r.pauses[m.full] = now.Add(r.timing.full)
		return false
	}
	m.init(now)
	r.transcodes[m.full] = m
	r.work.Go(func() { m.run(tap) })
	return true
}

// remove removes a rendition that has ended, and prevents its restart for the duration pause.
func (r *Renditions) remove(m *transcode, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.transcodes, m.full)
	if pause > 0 {
		r.pauses[m.full] = time.Now().Add(pause)
	}
}

// Reconfigure applies the current configuration. Removed renditions end, changed renditions restart,
// and stopped renditions may start again.
func (r *Renditions) Reconfigure() {
	r.mu.Lock()
	clear(r.pauses)
	r.missingLogged = false
	all := make([]*transcode, 0, len(r.transcodes))
	for _, m := range r.transcodes {
		all = append(all, m)
	}
	r.mu.Unlock()
	for _, m := range all {
		_, rendition, ok := r.configured(m.full)
		m.configure(rendition, ok)
	}
}

// Close ends all children and waits for them.
func (r *Renditions) Close() {
	r.mu.Lock()
	r.closed = true
	for _, m := range r.transcodes {
		m.cancel(errClosing)
	}
	r.mu.Unlock()
	r.work.Wait()
}

// Reasons why a rendition ends.
var (
	errClosing  = errors.New("the relay is shutting down")
	errRemoved  = errors.New("no longer configured")
	errUnwanted = errors.New("no viewers")
	errOver     = errors.New("the stream has ended")
	errYield    = errors.New("another publisher has the stream")
)
