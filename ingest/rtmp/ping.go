package rtmp

import (
	"sync"
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// pings measures the round trip by RTMP's own pings, and keeps a connection that has
// nothing to say from being forgotten by what lies between.
type pings struct {
	mu       sync.Mutex // guards all
	timer    *time.Timer
	every    time.Duration
	value    uint32 // of the ping that is under way
	sent     time.Time
	waiting  bool
	unheard  int // pings in a row that nobody answered
	srtt     time.Duration
	variance time.Duration
}

// A peer that has left this many pings unanswered is asked rarely: it may not read at
// all, and what we send would fill its socket in the end.
const (
	patience = 3
	rarely   = time.Minute
)

// startPings sends the first ping before anything else is said: some clients read only
// until they know that their publish was accepted.
func (c *conn) startPings(every time.Duration) error {
	if err := c.send(wire.AppendUserControl(nil, wire.EventPingRequest, c.pings.ask(time.Now()))); err != nil {
		return err
	}
	p := &c.pings
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.every, p.unheard = every, 0
	p.timer = time.AfterFunc(every, c.ping)
	return nil
}

func (p *pings) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
}

// ping runs in the timer's goroutine.
func (c *conn) ping() {
	if !c.begin() {
		return
	}
	defer c.tasks.Done()
	defer c.guard("ping", nil)
	// While somebody else writes, bytes flow and there is no need.
	sent, err := c.w.tryWrite(wire.AppendUserControl(nil, wire.EventPingRequest, c.pings.ask(time.Now())))
	if c.written(err) != nil {
		return
	}
	c.pings.again(sent)
}

// begin counts a task that close waits for; false when the connection is ending.
func (c *conn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil {
		return false
	}
	c.tasks.Add(1)
	return true
}

// ask notes that a ping goes out now and returns its value.
func (p *pings) ask(now time.Time) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		p.unheard++
	}
	p.value++
	p.sent, p.waiting = now, true
	return p.value
}

func (p *pings) again(sent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !sent {
		p.waiting = false
	}
	if p.timer == nil {
		return
	}
	every := p.every
	if p.unheard >= patience {
		every = max(every, rarely)
	}
	p.timer.Reset(every)
}

// answered smooths the round trip as TCP does (RFC 6298).
func (p *pings) answered(value uint32, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting || value != p.value {
		return
	}
	p.waiting, p.unheard = false, 0
	rtt := now.Sub(p.sent)
	if p.srtt == 0 {
		p.srtt, p.variance = rtt, rtt/2
		return
	}
	p.variance += ((p.srtt - rtt).Abs() - p.variance) / 4
	p.srtt += (rtt - p.srtt) / 8
}

func (p *pings) rtt() (srtt, variance time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.srtt, p.variance
}
