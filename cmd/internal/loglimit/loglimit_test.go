package loglimit

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logBuffer keeps what is logged, by any goroutine.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func TestLinesOfOneCauseAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b logBuffer
		log := New(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
		for i := range 10_000 {
			log.Warn("publish refused", "outcome", "refused_key", "stream", fmt.Sprintf("live/%d", i))
		}
		log.Warn("publish refused", "outcome", "refused_name")
		log.Info("publish accepted")
		const most = linesBurst + maxStreams/2
		if n := strings.Count(b.String(), "\n"); n != most+2 {
			t.Errorf("got %d lines, want %d of the flood and the two of other causes", n, most)
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
				var b logBuffer
				log := New(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
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
						t.Errorf("got %d lines of the operator's stream, want %d", n, streamLines)
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
		var b logBuffer
		log := New(slog.New(slog.NewTextHandler(&b, nil))).With("component", "rtmp")
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
			t.Errorf("after the first flood: got %q, want the 7 lines reported", got)
		}
		b.Reset()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, fmt.Sprintf(`message="connection ended" cause=reset suppressed=%d`, linesBurst)) {
			t.Errorf("after the second flood: got %q, want its %d lines reported once", got, linesBurst)
		}
		if l := log.Handler().(*handler).limit; l.timer != nil {
			t.Error("a timer is left")
		}
	})
}

// Of a cause that is forgotten to make room the suppressed lines are reported, and the memory is bounded.
func TestForgottenCausesAreReported(t *testing.T) {
	reported := 0
	l := &limiter{
		report: func(_ cause, n int) { reported += n },
		causes: map[cause]*causeBucket{}, streams: map[streamCause]*streamBucket{},
	}
	now := time.Now()
	for range linesBurst + 3 {
		l.allow(now, cause{message: "first"}, "")
	}
	now = now.Add(linesBurst * linesEvery)
	for i := range 3 * maxCauses {
		l.allow(now, cause{message: fmt.Sprint(i)}, fmt.Sprint(i))
		l.allow(now, cause{message: fmt.Sprint(i)}, "")
	}
	l.timer.Stop()
	if reported < 3 {
		t.Errorf("got %d lines reported, want the 3 of the first cause", reported)
	}
	if len(l.causes) > maxCauses+1 || len(l.streams) > maxStreams {
		t.Errorf("got %d causes and %d streams are kept", len(l.causes), len(l.streams))
	}
}
