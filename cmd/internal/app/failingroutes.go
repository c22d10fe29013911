package app

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route"
)

const (
	// failingEvery is the minimum interval at which failures of a route are logged.
	failingEvery = time.Minute
	// maxFailing is the maximum number of tracked routes; further ones are not logged.
	maxFailing = 4096
)

// failingRoutes decides which dials are logged: the first failure of a route, then at most one failure a
// minute, and the recovery. The zero value is ready to use.
type failingRoutes struct {
	mu  sync.Mutex // guards the fields below
	all map[failingKey]*failingRoute
}

// Log messages about dials.
const (
	dialed     = "route dialed" // the first failure, and at level debug each success of a working route
	stillFails = "route still fails"
	dialsAgain = "route dials again"
)

type failingKey struct{ stream, group, route string }

type failingRoute struct {
	since, told time.Time
	failures    int
	seen        time.Time
}

// dialed returns the log message for the result of a dial, or "" if the result is not logged. It also
// returns how often and for how long the route has failed.
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

// room reports whether another route can be tracked. If the maximum is reached, it first removes routes
// that are no longer dialed. f.mu must be held.
func (f *failingRoutes) room(now time.Time) bool {
	if f.all == nil {
		f.all = map[failingKey]*failingRoute{}
	}
	if len(f.all) >= maxFailing {
		for key, at := range f.all {
			if now.Sub(at.seen) > 10*failingEvery {
				delete(f.all, key)
			}
		}
	}
	return len(f.all) < maxFailing
}
