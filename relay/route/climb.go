package route

import (
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
)

const (
	// offersEvery is how often what a push can carry is looked up.
	offersEvery = time.Second
	// trusted is how much trust a measured capacity must have, and misses how often the route
	// has to have failed, for a new connection to begin below the top.
	trusted = 0.5
	misses  = 2
)

// ladderBegins has the ladder begin with a new connection. r.mu is held.
func (r *runner) ladderBegins(now time.Time, w *way) {
	capacity := 0.0
	if s := r.all.histories.summary(now, w.key); w.misses >= misses && s.CapacityTrust >= trusted {
		capacity = s.Capacity
	}
	r.lookUp(now)
	begin := r.ladder.Begin
	if r.climbed != w.key {
		begin = r.ladder.Elsewhere
	}
	r.climbed = w.key
	r.choose(now, w.push, begin(now, r.offers, capacity))
}

// lookUp looks up what the push can carry, if that is due. r.mu is held.
func (r *runner) lookUp(now time.Time) {
	if now.Sub(r.offered) < offersEvery && len(r.offers) > 0 {
		return
	}
	r.offered = now
	r.offers = r.offers[:0]
	for _, o := range r.all.opts.Streams.Offers(r.stream) {
		r.offers = append(r.offers, o.Offer)
	}
}

// climb has the ladder look at the line. r.mu is held.
func (r *runner) climb(now time.Time, p *pushing) {
	r.lookUp(now)
	r.choose(now, p, r.ladder.Step(now, r.line, r.offers))
}

// choose has the push send what the ladder says. r.mu is held.
func (r *runner) choose(now time.Time, p *pushing, c policy.Choice) {
	r.choice = c
	if c.Skip {
		r.skips++
	}
	if c.Changed {
		r.reason = c.Reason
		r.tell(Event{
			Time: now, Type: Level, Route: r.ways[r.active].Name, Cause: c.Reason.Cause, Detail: c.Reason.Text,
			Rung: c.Step.Rung, Level: c.Step.Level,
		})
	}
	p.sender.order.Store(&order{rung: c.Step.Rung, share: c.Share, offer: c.Step.Offer, skips: r.skips})
	if c.Want != "" {
		r.all.opts.Streams.Want(r.stream, c.Want)
	}
}
