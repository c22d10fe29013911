package faultnet

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// segment is a piece of data under way.
type segment struct {
	data []byte
	at   time.Time // when it arrives
}

// pipe is one direction of a Wire. Its fields are guarded by the wire's lock; changed tells
// its reader and its writer to look again.
type pipe struct {
	mu      *sync.Mutex
	changed *sync.Cond
	rng     *rand.Rand
	shape   Shape
	// crossed is called when byte number marks[0] has been sent; marks rise.
	marks   []int64
	crossed func(mark int64)

	queue    []segment
	buffered int       // bytes in queue
	sent     int64     // bytes that went into queue, ever
	free     time.Time // when the line has sent all that is in queue
	last     time.Time // when the last of them arrives

	hung   bool
	passes int       // bytes of queue that arrive although it is hung
	ended  bool      // no more will be sent
	endAt  time.Time // when the reader may notice
	gone   bool      // the reader has closed
	reset  bool      // the reader sees ECONNRESET once queue is empty, the writer at once
	// dying says that the writer has aborted while the pipe was hung: the reset comes with
	// the thaw.
	dying bool
	back  *pipe // the other direction

	readClosed, writeClosed     bool // the end's own Close
	readDeadline, writeDeadline deadline
}

func newPipe(mu *sync.Mutex, s Shape, rng *rand.Rand) *pipe {
	return &pipe{mu: mu, changed: sync.NewCond(mu), rng: rng, shape: s.withDefaults()}
}

// deadline wakes those who wait when it passes.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed(now time.Time) bool { return !d.at.IsZero() && !now.Before(d.at) }

// set is called with the lock held.
func (d *deadline) set(p *pipe, at time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if at.After(time.Now()) { // what has passed wakes at once, below
		d.timer = p.wakeAt(at)
	}
	p.changed.Broadcast()
}

func (p *pipe) wakeAt(at time.Time) *time.Timer {
	return time.AfterFunc(time.Until(at), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
}

// read waits for data and takes what has arrived, at most len(b) bytes.
func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.readClosed:
			return 0, net.ErrClosed
		case p.readDeadline.passed(now):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case p.hung && p.passes == 0:
			p.changed.Wait()
			continue
		case len(p.queue) > 0:
			if n := p.take(b, now); n > 0 {
				p.changed.Broadcast()
				return n, nil
			}
			p.waitUntil(p.queue[0].at)
			continue
		case p.reset:
			return 0, syscall.ECONNRESET
		case p.ended && !now.Before(p.endAt):
			return 0, io.EOF
		case p.ended:
			p.waitUntil(p.endAt)
			continue
		}
		p.changed.Wait()
	}
}

func (p *pipe) waitUntil(at time.Time) {
	t := p.wakeAt(at)
	p.changed.Wait()
	t.Stop()
}

// take copies what has arrived by now.
func (p *pipe) take(b []byte, now time.Time) int {
	if p.hung {
		b = b[:min(len(b), p.passes)]
	}
	n := 0
	for n < len(b) && len(p.queue) > 0 && !now.Before(p.queue[0].at) {
		s := &p.queue[0]
		k := copy(b[n:], s.data)
		n += k
		if s.data = s.data[k:]; len(s.data) == 0 {
			p.queue = p.queue[1:]
		}
	}
	p.buffered -= n
	p.passes = max(0, p.passes-n)
	return n
}

// write sends all of b, waiting for room.
func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := 0
	for {
		switch {
		case sent == len(b) && sent > 0:
			return sent, nil
		case p.writeClosed:
			return sent, net.ErrClosed
		case p.writeDeadline.passed(time.Now()):
			return sent, os.ErrDeadlineExceeded
		case p.reset:
			return sent, syscall.ECONNRESET
		case p.ended, p.gone && !p.hung && !p.back.hung:
			return sent, syscall.EPIPE
		case len(b) == 0:
			return 0, nil
		case p.buffered >= p.shape.Buffer:
			p.changed.Wait()
			continue
		}
		n := min(len(b)-sent, p.shape.Segment, p.shape.Buffer-p.buffered)
		if len(p.marks) > 0 {
			n = int(min(int64(n), p.marks[0]-p.sent))
		}
		p.send(slices.Clone(b[sent : sent+n]))
		sent += n
		if len(p.marks) > 0 && p.sent == p.marks[0] {
			p.marks = p.marks[1:]
			p.crossed(p.sent)
		}
	}
}

func (p *pipe) send(data []byte) {
	p.queue = append(p.queue, segment{data: data, at: p.schedule(len(data))})
	p.buffered += len(data)
	p.sent += int64(len(data))
	p.changed.Broadcast()
}

// schedule tells when n more bytes arrive.
func (p *pipe) schedule(n int) time.Time {
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	if p.shape.Rate > 0 {
		p.free = p.free.Add(time.Duration(n) * time.Second / time.Duration(p.shape.Rate))
	}
	at := p.free.Add(p.shape.Delay)
	if p.shape.Jitter > 0 {
		at = at.Add(time.Duration(p.rng.Int64N(int64(p.shape.Jitter))))
	}
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	return at
}

// end closes the direction after what is under way.
func (p *pipe) end() {
	if p.ended {
		return
	}
	p.ended, p.endAt = true, p.schedule(0)
	p.changed.Broadcast()
}

// abort resets the direction. What has not arrived is lost, unless all of it is kept.
func (p *pipe) abort(keep bool) {
	if p.reset {
		return
	}
	p.reset = true
	if !keep {
		now := time.Now()
		arrived := p.queue[:0]
		p.buffered = 0
		for _, s := range p.queue {
			if !p.hung && !now.Before(s.at) {
				arrived = append(arrived, s)
				p.buffered += len(s.data)
			}
		}
		p.queue = arrived
	}
	p.hung = false
	p.changed.Broadcast()
}

// hang stops arrivals, those of what is under way too unless that is kept.
func (p *pipe) hang(keep bool) {
	if p.hung {
		return
	}
	p.hung, p.passes = true, 0
	if keep {
		p.passes = p.buffered
	}
	p.changed.Broadcast()
}

// thaw lets arrive what was held, from now on and at the line's rate.
func (p *pipe) thaw() {
	if !p.hung {
		return
	}
	p.hung = false
	now := time.Now()
	if len(p.queue) > 0 && p.queue[0].at.Before(now) {
		p.free, p.last = now, now
		for i := range p.queue {
			p.queue[i].at = p.schedule(len(p.queue[i].data))
		}
		if p.ended {
			p.endAt = p.last
		}
	}
	p.changed.Broadcast()
	p.back.changed.Broadcast()
}

// stop ends the timers.
func (p *pipe) stop() {
	for _, d := range []*deadline{&p.readDeadline, &p.writeDeadline} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
}
