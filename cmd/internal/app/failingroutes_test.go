package app

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route"
)

// A route that fails for ten minutes is logged at the beginning, once a minute, and at the end.
func TestFailingRouteIsToldOnceAMinute(t *testing.T) {
	var f failingRoutes
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	dial := func(o qos.Outcome) (string, int) {
		message, failures, _ := f.dialed(route.Event{Time: now, Type: route.Dialed, Stream: "live/cam", Group: "cdn", Route: "a", Outcome: o})
		return message, failures
	}
	lines := 0
	for range 600 {
		if message, _ := dial(qos.DialFailed); message != "" {
			lines++
		}
		now = now.Add(time.Second)
	}
	if lines != 10 {
		t.Errorf("got %d lines in ten minutes, want one a minute", lines)
	}
	if message, failures := dial(qos.DialOK); message != dialsAgain || failures != 600 {
		t.Errorf("at the end %q with %d failures, want all 600", message, failures)
	}
	if _, failures := dial(qos.DialOK); failures != 0 {
		t.Errorf("got %d failures of a route that is well", failures)
	}
}
