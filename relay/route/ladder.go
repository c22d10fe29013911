package route

import (
	"time"

	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/push"
)

const (
	// offersInterval is how often the offers of a stream are refreshed.
	offersInterval = time.Second
	// A new connection starts below the top of the ladder if the route has failed minMisses times in a
	// row and the trust in its measured capacity is at least minTrust.
	minTrust  = 0.5
	minMisses = 2
)

// beginLadder starts the ladder for a new connection. r.mu is held.
func (r *runner) beginLadder(now time.Time, w *routeState) {
	capacity := 0.0
	if s := r.all.histories.summary(now, w.key); w.misses >= minMisses && s.CapacityTrust >= minTrust {
		capacity = s.Capacity
	}
	r.refreshOffers(now)
	begin := r.ladder.Begin
	if r.ladderKey != w.key {
		begin = r.ladder.Elsewhere
	}
	r.ladderKey = w.key
	r.applyChoice(now, w.push, begin(now, r.offers, capacity))
}

// refreshOffers updates the list of what a push can send, if an update is due. r.mu is held.
func (r *runner) refreshOffers(now time.Time) {
	if now.Sub(r.offered) < offersInterval && len(r.offers) > 0 {
		return
	}
	r.offered = now
	r.offers = r.offers[:0]
	for _, o := range r.all.opts.Streams.Offers(r.stream) {
		r.offers = append(r.offers, o.Offer)
	}
}

// stepLadder adapts the ladder to what the line carries. r.mu is held.
func (r *runner) stepLadder(now time.Time, p *push.Push) {
	r.refreshOffers(now)
	r.applyChoice(now, p, r.ladder.Step(now, r.line, r.offers))
}

// applyChoice makes the push send what the ladder has chosen. r.mu is held.
func (r *runner) applyChoice(now time.Time, p *push.Push, c policy.Choice) {
	r.choice = c
	if c.Skip {
		r.skips++
	}
	if c.Changed {
		r.reason = c.Reason
		r.record(Event{
			Time: now, Type: Level, Route: r.routes[r.active].Name, Cause: c.Reason.Cause, Detail: c.Reason.Text,
			Rung: c.Step.Rung, Level: c.Step.Level,
		})
	}
	p.Order(push.Order{Rung: c.Step.Rung, Share: c.Share, Offer: c.Step.Offer, Skips: r.skips})
	if c.Want != "" {
		r.all.opts.Streams.Want(r.stream, c.Want)
	}
}
