package faultnet

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Wire is the network between the two ends of a connection. Faults are applied to its two directions. Its
// methods may be called from any goroutine and do not block.
type Wire struct {
	mu        sync.Mutex // guards the fields below and those of the pipes
	up, down  *pipe
	rules     []Rule // rules with AtByte
	timers    []*time.Timer
	open      int           // number of ends that have not closed
	delivered Direction     // direction whose data in flight survives the reset
	broken    chan struct{} // closed by a reset
}

// Pair returns the two ends of a connection and the wire between them. client is the end that dialed.
func Pair(o Options) (client, server *Conn, w *Wire) {
	return pair(o, "client", "server")
}

func pair(o Options, clientAddr, serverAddr Addr) (client, server *Conn, w *Wire) {
	w = &Wire{open: 2, broken: make(chan struct{})}
	w.up = newPipe(&w.mu, o.Up, rand.New(rand.NewPCG(o.Seed, uint64(Up))))       //nolint:gosec // reproducible on purpose
	w.down = newPipe(&w.mu, o.Down, rand.New(rand.NewPCG(o.Seed, uint64(Down)))) //nolint:gosec // reproducible on purpose
	w.up.reverse, w.down.reverse = w.down, w.up
	w.up.markReached = func(mark int64) { w.applyRules(Up, mark) }
	w.down.markReached = func(mark int64) { w.applyRules(Down, mark) }
	for _, r := range o.Rules {
		if r.AtByte > 0 {
			w.rules = append(w.rules, r)
			p := w.pipe(r.countedDirection())
			p.marks = append(p.marks, r.AtByte)
		} else {
			w.afterFunc(r.After, func() { w.apply(r, 0) })
		}
	}
	for _, p := range []*pipe{w.up, w.down} {
		slices.Sort(p.marks)
		p.marks = slices.Compact(p.marks)
	}
	client = &Conn{wire: w, in: w.down, out: w.up, local: clientAddr, remote: serverAddr}
	server = &Conn{wire: w, in: w.up, out: w.down, local: serverAddr, remote: clientAddr}
	return client, server, w
}

func (w *Wire) pipe(d Direction) *pipe {
	if d == Down {
		return w.down
	}
	return w.up
}

// pipes returns the pipes of d.
func (w *Wire) pipes(d Direction) []*pipe {
	var out []*pipe
	if d&Up != 0 {
		out = append(out, w.up)
	}
	if d&Down != 0 {
		out = append(out, w.down)
	}
	return out
}

// Do applies a fault to a direction.
func (w *Wire) Do(f Fault, d Direction) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apply(Rule{Fault: f, Dir: d}, 0)
}

// Reshape changes how a direction carries data sent from now on.
func (w *Wire) Reshape(d Direction, s Shape) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pipes(d) {
		p.shape = s.withDefaults()
		p.changed.Broadcast()
	}
}

// Bytes returns how many bytes have been sent in a direction, or in both.
func (w *Wire) Bytes(d Direction) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n int64
	for _, p := range w.pipes(d) {
		n += p.sent
	}
	return n
}

// lostData reports whether a reset lost the data in flight.
func (w *Wire) lostData() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.delivered == 0
}

// applyRules applies the rules for a byte of a direction. The lock must be held.
func (w *Wire) applyRules(d Direction, mark int64) {
	for _, r := range w.rules {
		if r.countedDirection() == d && r.AtByte == mark {
			w.apply(r, d)
		}
	}
}

// apply applies a fault. Data in flight in the direction keep still arrives before a Reset or a Hang. The
// lock must be held.
func (w *Wire) apply(r Rule, keep Direction) {
	switch r.Fault {
	case Reset:
		w.reset(keep)
	case Close:
		for _, p := range w.pipes(r.Dir) {
			p.closeWrite()
		}
	case Hang:
		for _, p := range w.pipes(r.Dir) {
			p.hang(keep != 0 && p == w.pipe(keep))
		}
		if r.For > 0 {
			w.afterFunc(r.For, func() { w.apply(Rule{Fault: Thaw, Dir: r.Dir}, 0) })
		}
	case Thaw:
		for _, p := range w.pipes(r.Dir) {
			if p.resetOnThaw { // unsent data of an aborted sender is lost
				w.reset(0)
			}
			p.thaw()
		}
	}
}

func (w *Wire) reset(keep Direction) {
	select {
	case <-w.broken:
		return
	default:
	}
	w.up.abort(keep == Up)
	w.down.abort(keep == Down)
	w.delivered = keep
	close(w.broken)
}

// afterFunc calls f with the lock held, after d. The lock must be held, or the wire not in use yet.
func (w *Wire) afterFunc(d time.Duration, f func()) {
	w.timers = append(w.timers, time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.open > 0 {
			f()
		}
	}))
}

// endClosed counts an end as closed. The lock must be held.
func (w *Wire) endClosed() {
	if w.open--; w.open > 0 {
		return
	}
	for _, t := range w.timers {
		t.Stop()
	}
	w.up.stopTimers()
	w.down.stopTimers()
}
