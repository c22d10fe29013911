package whip

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

// roundTrip is the round-trip time of the pair of addresses in use, as ICE's own checks measure
// it, smoothed as in RFC 6298.
type roundTrip struct {
	looked time.Time // by the session's loop alone

	mu        sync.Mutex // guards what follows
	srtt, dev time.Duration
}

// look takes a measurement once a second.
func (r *roundTrip) look(now time.Time, p *rtcsock.Peer) {
	if now.Sub(r.looked) < time.Second {
		return
	}
	r.looked = now
	if d := p.RoundTrip(); d > 0 {
		r.sample(d)
	}
}

func (r *roundTrip) sample(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srtt == 0 {
		r.srtt, r.dev = d, d/2
		return
	}
	r.dev += ((r.srtt - d).Abs() - r.dev) / 4
	r.srtt += (d - r.srtt) / 8
}

// unknown is what a round trip is taken for that nobody has measured, as with ICE-lite: a packet
// that is asked for more often than it can come comes many times.
const unknown = 100 * time.Millisecond

// estimate is what to reckon with.
func (r *roundTrip) estimate() (srtt, dev time.Duration) {
	if srtt, dev = r.get(); srtt == 0 {
		return unknown, 0
	}
	return srtt, dev
}

func (r *roundTrip) get() (srtt, dev time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.srtt, r.dev
}
