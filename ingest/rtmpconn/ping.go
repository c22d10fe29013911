package rtmpconn

import (
	"sync"
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos/pacing"
)

// pings schedules the RTMP pings of a connection. They measure the round-trip time, and keep NATs
// and proxies from dropping a connection on which nothing else is sent.
type pings struct {
	mu         sync.Mutex // guards the fields below
	timer      *time.Timer
	heartbeat  pacing.Heartbeat
	value      uint32 // value of the last ping
	sent       time.Time
	waiting    bool // the last ping has no response yet
	unanswered int  // pings in a row without a response
}

const (
	// After maxUnanswered pings without a response, a peer is pinged only every slowPing. It may
	// not read at all, and further pings would eventually fill its socket buffer.
	maxUnanswered = 3
	slowPing      = time.Minute
	// maxPlayerPing is the maximum interval between pings to a player. If nothing else is sent,
	// NATs drop the connection after 30 s.
	maxPlayerPing = 15 * time.Second
)

// startPings sends the first ping and starts the timer for the next. It must be called before
// publish or play is answered, because some clients do not read after the answer.
func (c *Conn) startPings(h pacing.Heartbeat) error {
	if err := c.send(wire.AppendUserControl(nil, wire.EventPingRequest, c.pings.request(time.Now()))); err != nil {
		return err
	}
	p := &c.pings
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	p.heartbeat, p.unanswered = h, 0
	p.timer = time.AfterFunc(p.heartbeat.Wait(), c.ping)
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

// ping sends a ping. It runs in the timer's goroutine.
func (c *Conn) ping() {
	if !c.addTask() {
		return
	}
	defer c.tasks.Done()
	defer c.guard("RTMP pings", nil)
	// While another goroutine writes, bytes flow and no ping is needed.
	sent, err := c.w.tryWrite(wire.AppendUserControl(nil, wire.EventPingRequest, c.pings.request(time.Now())))
	if c.written(err) != nil {
		return
	}
	c.pings.schedule(sent)
}

// addTask counts a task that close waits for. It returns false if the connection is ending.
func (c *Conn) addTask() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending != nil {
		return false
	}
	c.tasks.Add(1)
	return true
}

// request records a ping that is sent at time now, and returns its value.
func (p *pings) request(now time.Time) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		p.unanswered++
		p.heartbeat.Missed()
	}
	p.value++
	p.sent, p.waiting = now, true
	return p.value
}

// schedule sets the timer for the next ping. sent reports whether the current ping was sent.
func (p *pings) schedule(sent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !sent {
		p.waiting = false
	}
	if p.timer == nil {
		return
	}
	next := p.heartbeat.Every()
	if p.waiting {
		next = p.heartbeat.Wait()
	}
	if p.unanswered >= maxUnanswered {
		next = max(next, slowPing)
	}
	p.timer.Reset(next)
}

// response handles a ping response that arrived at time now.
func (p *pings) response(value uint32, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting || value != p.value {
		return
	}
	p.waiting, p.unanswered = false, 0
	rtt := now.Sub(p.sent)
	p.heartbeat.Answered(rtt)
	if p.timer != nil {
		p.timer.Reset(p.heartbeat.Every() - rtt)
	}
}

// rtt returns the smoothed round-trip time and its mean deviation; both are 0 before the first
// response.
func (p *pings) rtt() (srtt, rttvar time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heartbeat.RTT()
}

// interval returns the current interval between pings.
func (p *pings) interval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unanswered >= maxUnanswered {
		return max(p.heartbeat.Every(), slowPing)
	}
	return p.heartbeat.Every()
}
