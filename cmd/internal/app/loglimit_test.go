package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route"
)

func TestLinesOfOneCauseAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := limitLines(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
		for i := range 10_000 {
			log.Warn("publish refused", "outcome", "refused_key", "stream", fmt.Sprintf("live/%d", i))
		}
		log.Warn("publish refused", "outcome", "refused_name")
		log.Info("publish accepted")
		if n := strings.Count(b.String(), "\n"); n != linesBurst+2 {
			t.Errorf("%d lines, want %d of the flood and the two of other causes", n, linesBurst)
		}
		b.Reset()
		time.Sleep(time.Second)
		log.Warn("publish refused", "outcome", "refused_key")
		if want := fmt.Sprintf("suppressed=%d", 10_000-linesBurst); !strings.Contains(b.String(), want) {
			t.Errorf("got %q, want how many were suppressed: %s", b.String(), want)
		}
	})
}

// Of a route that fails for ten minutes there is a line at the begin, one a minute and one at the end.
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
		t.Errorf("%d lines in ten minutes, want one a minute", lines)
	}
	if message, failures := dial(qos.DialOK); message != dialsAgain || failures != 600 {
		t.Errorf("at the end %q with %d failures, want all 600", message, failures)
	}
	if _, failures := dial(qos.DialOK); failures != 0 {
		t.Errorf("%d failures of a route that is well", failures)
	}
}
