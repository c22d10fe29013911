package rtmp

import (
	"sync"
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// pings measures the round trip by RTMP's own pings, and keeps a connection that has
// nothing to say from being forgotten by what lies between.
type pings struct {
	mu      sync.Mutex // guards all
	timer   *time.Timer
	beat    policy.Heartbeat
	value   uint32 // of the ping that is under way
	sent    time.Time
	waiting bool
	unheard int // pings in a row that nobody answered
}

const (
	// A peer that has left this many pings unanswered is asked rarely: it may not read at
	// all, and what we send would fill its socket in the end.
	patience = 3
	rarely   = time.Minute
	// playerMost is the longest between two pings to a player, who may have nothing else to get:
	// what lies between forgets such connections after 30 s.
	playerMost = 15 * time.Second
)

// startPings sends the first ping before anything else is said: some clients read only
// until they know that their publish was accepted.
func (c *conn) startPings(beat policy.Heartbeat) error {
	if err := c.send(wire.AppendUserControl(nil, wire.EventPingRequest, c.pings.ask(time.Now()))); err != nil {
		return err
	}
	p := &c.pings
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.beat, p.unheard = beat, 0
	p.timer = time.AfterFunc(p.beat.Wait(), c.ping)
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
	defer c.guard("RTMP pings", nil)
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
		p.beat.Missed()
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
	next := p.beat.Every()
	if p.waiting {
		next = p.beat.Wait()
	}
	if p.unheard >= patience {
		next = max(next, rarely)
	}
	p.timer.Reset(next)
}

// answered takes an answer; the next ping goes out when the line wants it.
func (p *pings) answered(value uint32, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting || value != p.value {
		return
	}
	p.waiting, p.unheard = false, 0
	rtt := now.Sub(p.sent)
	p.beat.Answered(rtt)
	if p.timer != nil {
		p.timer.Reset(p.beat.Every() - rtt)
	}
}

func (p *pings) rtt() (srtt, variance time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beat.RTT()
}

// every is the time between two pings as things are.
func (p *pings) every() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unheard >= patience {
		return max(p.beat.Every(), rarely)
	}
	return p.beat.Every()
}
