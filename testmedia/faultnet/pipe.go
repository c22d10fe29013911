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

// segment is data in flight.
type segment struct {
	data    []byte
	arrival time.Time
}

// pipe is one direction of a Wire. The wire's lock guards its fields. changed wakes its reader and its
// writer.
type pipe struct {
	mu      *sync.Mutex
	changed *sync.Cond
	rng     *rand.Rand
	shape   Shape
	// markReached is called when byte number marks[0] has been sent; marks are sorted.
	marks       []int64
	markReached func(mark int64)

	queue       []segment
	buffered    int       // bytes in queue
	sent        int64     // total number of bytes put into queue
	lineFree    time.Time // when the line has sent everything in queue
	lastArrival time.Time // when the last byte of queue arrives

	hung       bool
	hungBytes  int       // bytes of queue that arrive in spite of the hang
	ended      bool      // nothing more will be sent
	endAt      time.Time // when the reader sees the end
	readerGone bool      // the reader has closed
	reset      bool      // the reader gets ECONNRESET once queue is empty, the writer at once
	// resetOnThaw reports that the writer aborted while the pipe was hung, so that the reset arrives with
	// the thaw.
	resetOnThaw bool
	reverse     *pipe // the other direction

	readClosed, writeClosed     bool // the end itself called Close
	readDeadline, writeDeadline deadline
}

func newPipe(mu *sync.Mutex, s Shape, rng *rand.Rand) *pipe {
	return &pipe{mu: mu, changed: sync.NewCond(mu), rng: rng, shape: s.withDefaults()}
}

// deadline wakes waiting calls when it expires.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed(now time.Time) bool { return !d.at.IsZero() && !now.Before(d.at) }

// set sets the deadline. The lock must be held.
func (d *deadline) set(p *pipe, at time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if at.After(time.Now()) { // an expired deadline takes effect at once, below
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

// read waits for data and returns what has arrived, at most len(b) bytes.
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
		case p.hung && p.hungBytes == 0:
			p.changed.Wait()
			continue
		case len(p.queue) > 0:
			if n := p.copyArrived(b, now); n > 0 {
				p.changed.Broadcast()
				return n, nil
			}
			p.waitUntil(p.queue[0].arrival)
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

// copyArrived copies the data that has arrived by now.
func (p *pipe) copyArrived(b []byte, now time.Time) int {
	if p.hung {
		b = b[:min(len(b), p.hungBytes)]
	}
	n := 0
	for n < len(b) && len(p.queue) > 0 && !now.Before(p.queue[0].arrival) {
		s := &p.queue[0]
		k := copy(b[n:], s.data)
		n += k
		if s.data = s.data[k:]; len(s.data) == 0 {
			p.queue = p.queue[1:]
		}
	}
	p.buffered -= n
	p.hungBytes = max(0, p.hungBytes-n)
	return n
}

// write sends all of b. It waits for space in the buffer.
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
		case p.ended, p.readerGone && !p.hung && !p.reverse.hung:
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
			p.markReached(p.sent)
		}
	}
}

func (p *pipe) send(data []byte) {
	p.queue = append(p.queue, segment{data: data, arrival: p.schedule(len(data))})
	p.buffered += len(data)
	p.sent += int64(len(data))
	p.changed.Broadcast()
}

// schedule returns when n more bytes arrive.
func (p *pipe) schedule(n int) time.Time {
	now := time.Now()
	if p.lineFree.Before(now) {
		p.lineFree = now
	}
	if p.shape.Rate > 0 {
		p.lineFree = p.lineFree.Add(time.Duration(n) * time.Second / time.Duration(p.shape.Rate))
	}
	at := p.lineFree.Add(p.shape.Delay)
	if p.shape.Jitter > 0 {
		at = at.Add(time.Duration(p.rng.Int64N(int64(p.shape.Jitter))))
	}
	if at.Before(p.lastArrival) {
		at = p.lastArrival
	}
	p.lastArrival = at
	return at
}

// closeWrite ends the direction after the data in flight.
func (p *pipe) closeWrite() {
	if p.ended {
		return
	}
	p.ended, p.endAt = true, p.schedule(0)
	p.changed.Broadcast()
}

// abort resets the direction. Data in flight is lost, unless keep is set.
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
			if !p.hung && !now.Before(s.arrival) {
				arrived = append(arrived, s)
				p.buffered += len(s.data)
			}
		}
		p.queue = arrived
	}
	p.hung = false
	p.changed.Broadcast()
}

// hang stops arrivals. Data in flight still arrives if keep is set.
func (p *pipe) hang(keep bool) {
	if p.hung {
		return
	}
	p.hung, p.hungBytes = true, 0
	if keep {
		p.hungBytes = p.buffered
	}
	p.changed.Broadcast()
}

// thaw lets held data arrive, from now on at the rate of the line.
func (p *pipe) thaw() {
	if !p.hung {
		return
	}
	p.hung = false
	now := time.Now()
	if len(p.queue) > 0 && p.queue[0].arrival.Before(now) {
		p.lineFree, p.lastArrival = now, now
		for i := range p.queue {
			p.queue[i].arrival = p.schedule(len(p.queue[i].data))
		}
		if p.ended {
			p.endAt = p.lastArrival
		}
	}
	p.changed.Broadcast()
	p.reverse.changed.Broadcast()
}

// stopTimers stops the timers of the deadlines.
func (p *pipe) stopTimers() {
	for _, d := range []*deadline{&p.readDeadline, &p.writeDeadline} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
}
