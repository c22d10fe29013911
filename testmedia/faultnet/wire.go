package faultnet

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Wire is a connection as the network sees it: two directions on which faults can be put.
// Its methods may be called from any goroutine and never wait.
type Wire struct {
	mu       sync.Mutex // guards everything below and in the pipes
	up, down *pipe
	rules    []Rule // those with AtByte
	timers   []*time.Timer
	open     int           // ends that have not closed
	kept     Direction     // whose bytes under way outlive the reset
	broken   chan struct{} // closed by a reset
}

// Pair makes a connection: the end that dialled, the other, and the wire between them.
func Pair(o Options) (client, server *Conn, w *Wire) {
	return pair(o, "client", "server")
}

func pair(o Options, clientAddr, serverAddr Addr) (client, server *Conn, w *Wire) {
	w = &Wire{open: 2, broken: make(chan struct{})}
	w.up = newPipe(&w.mu, o.Up, rand.New(rand.NewPCG(o.Seed, uint64(Up))))       //nolint:gosec // repeatable on purpose
	w.down = newPipe(&w.mu, o.Down, rand.New(rand.NewPCG(o.Seed, uint64(Down)))) //nolint:gosec // repeatable on purpose
	w.up.back, w.down.back = w.down, w.up
	w.up.crossed = func(mark int64) { w.atByte(Up, mark) }
	w.down.crossed = func(mark int64) { w.atByte(Down, mark) }
	for _, r := range o.Rules {
		if r.AtByte > 0 {
			w.rules = append(w.rules, r)
			p := w.pipe(r.counted())
			p.marks = append(p.marks, r.AtByte)
		} else {
			w.after(r.After, func() { w.apply(r, 0) })
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

// pipes are those of d.
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

// Do puts a fault on a direction.
func (w *Wire) Do(f Fault, d Direction) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apply(Rule{Fault: f, Dir: d}, 0)
}

// Reshape changes how a direction carries what is sent from now on.
func (w *Wire) Reshape(d Direction, s Shape) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.pipes(d) {
		p.shape = s.withDefaults()
		p.changed.Broadcast()
	}
}

// Bytes is how many bytes have been sent in a direction, in both directions for Both.
func (w *Wire) Bytes(d Direction) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n int64
	for _, p := range w.pipes(d) {
		n += p.sent
	}
	return n
}

// lost tells whether a reset lost what was under way.
func (w *Wire) lost() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kept == 0
}

// atByte is called with the lock held.
func (w *Wire) atByte(d Direction, mark int64) {
	for _, r := range w.rules {
		if r.counted() == d && r.AtByte == mark {
			w.apply(r, d)
		}
	}
}

// apply is called with the lock held. What is under way in the direction keep still arrives
// before a Reset or a Hang.
func (w *Wire) apply(r Rule, keep Direction) {
	switch r.Fault {
	case Reset:
		w.reset(keep)
	case Close:
		for _, p := range w.pipes(r.Dir) {
			p.end()
		}
	case Hang:
		for _, p := range w.pipes(r.Dir) {
			p.hang(keep != 0 && p == w.pipe(keep))
		}
		if r.For > 0 {
			w.after(r.For, func() { w.apply(Rule{Fault: Thaw, Dir: r.Dir}, 0) })
		}
	case Thaw:
		for _, p := range w.pipes(r.Dir) {
			if p.dying { // what its sender had not got rid of died with it
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
	w.kept = keep
	close(w.broken)
}

// after calls f with the lock held; called with the lock held, or before the wire is used.
func (w *Wire) after(d time.Duration, f func()) {
	w.timers = append(w.timers, time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.open > 0 {
			f()
		}
	}))
}

// closed is called with the lock held, once by each end.
func (w *Wire) closed() {
	if w.open--; w.open > 0 {
		return
	}
	for _, t := range w.timers {
		t.Stop()
	}
	w.up.stop()
	w.down.stop()
}
