package stream

import (
	"sync"
	"sync/atomic"
	"time"
)

// wake wakes viewers when there are packets to read. All packets within one gathering time cause a
// single wake-up, so that many viewers are woken together and rarely.
type wake struct {
	ch atomic.Pointer[chan struct{}] // closed at the next wake-up

	mu    sync.Mutex // guards all below, and changes of ch
	timer *time.Timer
	armed bool
}

func newWake() *wake {
	w := &wake{}
	w.renew()
	w.timer = time.AfterFunc(time.Hour, w.fire)
	w.timer.Stop()
	return w
}

// wait returns a channel that is closed at the next wake-up. A caller misses no packet if it calls
// wait before it reads the ring.
func (w *wake) wait() <-chan struct{} { return *w.ch.Load() }

// renew puts a new channel in place and returns the old one.
func (w *wake) renew() *chan struct{} {
	ch := make(chan struct{})
	return w.ch.Swap(&ch)
}

// soon wakes the viewers once the gathering time has passed since the first packet after the last
// wake-up, so no packet waits longer than that.
func (w *wake) soon(gather time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case gather <= 0:
		w.now()
	case !w.armed:
		w.armed = true
		w.timer.Reset(gather)
	}
}

// fire wakes the viewers when the gathering time has passed.
func (w *wake) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed {
		w.now()
	}
}

// now wakes all viewers. w.mu is held.
func (w *wake) now() {
	if w.armed {
		w.armed = false
		w.timer.Stop()
	}
	close(*w.renew())
}

// all wakes all viewers at once.
func (w *wake) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now()
}
