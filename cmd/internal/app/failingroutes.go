package app

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route"
)

const (
	// failingEvery is how often the log says that a route still fails.
	failingEvery = time.Minute
	// mostFailing bounds how many failing routes are told apart; of those beyond nothing is said.
	mostFailing = 4096
)

// failingRoutes says when a route begins to fail, once a minute that it still does, and when it does not
// any more. Its zero value is ready.
type failingRoutes struct {
	mu  sync.Mutex // guards all below
	all map[failingKey]*failingRoute
}

// What the log says of a dial.
const (
	dialed     = "route dialed" // with its outcome: the first that fails, and to who debugs all that do not
	stillFails = "route still fails"
	dialsAgain = "route dials again"
)

type failingKey struct{ stream, group, route string }

type failingRoute struct {
	since, told time.Time
	failures    int
	seen        time.Time
}

// dialed returns what the log says of a dial's end, empty for nothing, with how often the route has failed
// and for how long.
func (f *failingRoutes) dialed(e route.Event) (message string, failures int, lasted time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := failingKey{e.Stream, e.Group, e.Route}
	at := f.all[key]
	switch {
	case e.Outcome == qos.DialOK && at == nil:
		return dialed, 0, 0
	case e.Outcome == qos.DialOK:
		delete(f.all, key)
		return dialsAgain, at.failures, e.Time.Sub(at.since)
	case at == nil && !f.room(e.Time):
		return "", 0, 0
	case at == nil:
		f.all[key] = &failingRoute{since: e.Time, told: e.Time, seen: e.Time, failures: 1}
		return dialed, 1, 0
	}
	at.failures++
	at.seen = e.Time
	if e.Time.Sub(at.told) < failingEvery {
		return "", 0, 0
	}
	at.told = e.Time
	return stillFails, at.failures, e.Time.Sub(at.since)
}

// room makes room for another route, among those that are not dialled any more. f.mu is held.
func (f *failingRoutes) room(now time.Time) bool {
	if f.all == nil {
		f.all = map[failingKey]*failingRoute{}
	}
	if len(f.all) >= mostFailing {
		for key, at := range f.all {
			if now.Sub(at.seen) > 10*failingEvery {
				delete(f.all, key)
			}
		}
	}
	return len(f.all) < mostFailing
}
