package app

import (
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
		var b logs
		log := limitLines(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
		for i := range 10_000 {
			log.Warn("publish refused", "outcome", "refused_key", "stream", fmt.Sprintf("live/%d", i))
		}
		log.Warn("publish refused", "outcome", "refused_name")
		log.Info("publish accepted")
		const most = linesBurst + mostStreams/2
		if n := strings.Count(b.String(), "\n"); n != most+2 {
			t.Errorf("%d lines, want %d of the flood and the two of other causes", n, most)
		}
		b.Reset()
		time.Sleep(time.Second)
		log.Warn("publish refused", "outcome", "refused_key")
		if want := fmt.Sprintf("suppressed=%d", 10_000-most); !strings.Contains(b.String(), want) {
			t.Errorf("got %q, want how many were suppressed: %s", b.String(), want)
		}
	})
}

// A stranger who floods the lines of one stream, or of invented ones, does not suppress those of another.
func TestFloodOfOneStreamLeavesTheLinesOfOthers(t *testing.T) {
	for _, c := range []struct{ name, flood, flooding, message, outcome string }{
		{"one stream", "live/stranger", "publish accepted", "publish accepted", "accepted"},
		{"one stream refused", "live/stranger", "publish refused", "publish refused", "refused_key"},
		{"invented names", "live/stranger%d", "publish refused", "publish accepted", "accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b logs
				log := limitLines(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
				for minute := range 3 {
					for i := range 1000 {
						stream := strings.ReplaceAll(c.flood, "%d", fmt.Sprint(minute*1000+i))
						log.Info(c.flooding, "outcome", map[bool]string{true: "refused_key", false: "accepted"}[c.flooding == "publish refused"], "stream", stream)
					}
					b.Reset()
					for range streamLines + 1 {
						log.With("stream", "live/operator").Info(c.message, "outcome", c.outcome)
					}
					if n := strings.Count(b.String(), "live/operator"); n < streamLines {
						t.Errorf("%d lines of the operator's stream, want %d", n, streamLines)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

// The number of suppressed lines is logged where no line of their cause follows, once, and nothing runs on.
func TestSuppressedLinesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b logs
		log := limitLines(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
		for range linesBurst + 7 {
			log.Warn("publish refused", "outcome", "refused_key")
		}
		time.Sleep(flushAfter / 2)
		for range 2 * linesBurst {
			log.Warn("connection ended", "cause", "reset")
		}
		b.Reset()
		time.Sleep(flushAfter/2 + time.Second)
		synctest.Wait()
		if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=WARN msg="lines suppressed" component=rtmp message="publish refused" outcome=refused_key suppressed=7`) {
			t.Errorf("after the first flood: %q, want the 7 lines reported", got)
		}
		b.Reset()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, fmt.Sprintf(`message="connection ended" cause=reset suppressed=%d`, linesBurst)) {
			t.Errorf("after the second flood: %q, want its %d lines reported once", got, linesBurst)
		}
		if l := log.Handler().(*limitedHandler).limit; l.timer != nil {
			t.Error("a timer is left")
		}
	})
}

// Of a cause that is forgotten to make room the suppressed lines are reported, and the memory is bounded.
func TestForgottenCausesAreReported(t *testing.T) {
	reported := 0
	l := &lineLimit{
		report: func(_ lineCause, n int) { reported += n },
		causes: map[lineCause]*lineBucket{}, streams: map[streamCause]*streamBucket{},
	}
	now := time.Now()
	for range linesBurst + 3 {
		l.take(now, lineCause{message: "first"}, "")
	}
	now = now.Add(linesBurst * linesEvery)
	for i := range 3 * mostCauses {
		l.take(now, lineCause{message: fmt.Sprint(i)}, fmt.Sprint(i))
		l.take(now, lineCause{message: fmt.Sprint(i)}, "")
	}
	l.timer.Stop()
	if reported < 3 {
		t.Errorf("%d lines reported, want the 3 of the first cause", reported)
	}
	if len(l.causes) > mostCauses+1 || len(l.streams) > mostStreams {
		t.Errorf("%d causes and %d streams are kept", len(l.causes), len(l.streams))
	}
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
