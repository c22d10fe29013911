package whip

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

// roundTrip is the smoothed round-trip time (RFC 6298) of the candidate pair in use, as measured by
// ICE's own checks.
type roundTrip struct {
	measuredAt time.Time // used by the session's loop only

	mu        sync.Mutex // guards the fields below
	srtt, dev time.Duration
}

// measure measures the round-trip time, at most once a second.
func (r *roundTrip) measure(now time.Time, p *rtcsock.Peer) {
	if now.Sub(r.measuredAt) < time.Second {
		return
	}
	r.measuredAt = now
	if d := p.RoundTrip(); d > 0 {
		r.add(d)
	}
}

func (r *roundTrip) add(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srtt == 0 {
		r.srtt, r.dev = d, d/2
		return
	}
	r.dev += ((r.srtt - d).Abs() - r.dev) / 4
	r.srtt += (d - r.srtt) / 8
}

// assumedRTT is the round-trip time that is assumed if none was measured, as with ICE-lite. If it
// were too short, the same packets would be requested and received several times.
const assumedRTT = 100 * time.Millisecond

// estimate returns the round-trip time and its mean deviation, or assumedRTT and 0 if it was not
// measured.
func (r *roundTrip) estimate() (srtt, dev time.Duration) {
	if srtt, dev = r.get(); srtt == 0 {
		return assumedRTT, 0
	}
	return srtt, dev
}

func (r *roundTrip) get() (srtt, dev time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.srtt, r.dev
}
