package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/qos"
)

// addRunning adds d of running to a route's history, each second as in sample.
func addRunning(h *qos.History, from time.Time, d time.Duration, sample qos.Sample) time.Time {
	for t := time.Second; t <= d; t += time.Second {
		sample.At, sample.Span = from.Add(t), time.Second
		h.Sample(sample)
	}
	return from.Add(d)
}

// addProbes adds probes every five seconds for d to a route's history.
func addProbes(h *qos.History, from time.Time, d time.Duration, o qos.Outcome) time.Time {
	for t := 5 * time.Second; t <= d; t += 5 * time.Second {
		h.Attempt(qos.Attempt{At: from.Add(t), Probe: true, Outcome: o, Took: map[qos.Phase]time.Duration{qos.PhaseTCP: 40 * time.Millisecond}})
	}
	return from.Add(d)
}

var (
	fine    = qos.Sample{RTT: 40 * time.Millisecond, Sent: 312500, Delivered: 312500, Segments: 220, Lag: 100 * time.Millisecond}
	lagging = qos.Sample{RTT: 400 * time.Millisecond, Sent: 150000, Delivered: 150000, Segments: 110, Resent: 4, Lag: 3 * time.Second, Limited: true}
	stalled = qos.Sample{RTT: 400 * time.Millisecond, Segments: 10, Resent: 10, Lag: 4 * time.Second, Stalled: true}
	lossy   = qos.Sample{RTT: 80 * time.Millisecond, Sent: 312500, Delivered: 312500, Segments: 220, Resent: 22, Lag: 600 * time.Millisecond}
)

func TestScore(t *testing.T) {
	dial := qos.Attempt{At: epoch, Outcome: qos.DialOK, Took: map[qos.Phase]time.Duration{qos.PhaseTCP: 40 * time.Millisecond}}
	for _, c := range []struct {
		name     string
		lo, hi   float64
		scenario func(h *qos.History) time.Time
	}{
		{"nothing is known", 0.7, 0.85, func(*qos.History) time.Time { return epoch }},
		{"runs without fault", 0.99, 1, func(h *qos.History) time.Time {
			h.Attempt(dial)
			return addRunning(h, epoch, time.Hour, fine)
		}},
		{"only probed, without fault", 0.85, 0.95, func(h *qos.History) time.Time { return addProbes(h, epoch, time.Hour, qos.DialOK) }},
		{"lags for ten seconds after an hour", 0.2, 0.65, func(h *qos.History) time.Time {
			return addRunning(h, addRunning(h, epoch, time.Hour, fine), 10*time.Second, lagging)
		}},
		{"stalls for three seconds", 0.4, 0.9, func(h *qos.History) time.Time {
			return addRunning(h, addRunning(h, epoch, time.Hour, fine), 3*time.Second, stalled)
		}},
		{"stalls for a minute", 0, 0.1, func(h *qos.History) time.Time {
			return addRunning(h, addRunning(h, epoch, time.Hour, fine), time.Minute, stalled)
		}},
		{"loses a tenth", 0.6, 0.8, func(h *qos.History) time.Time { return addRunning(h, epoch, time.Minute, lossy) }},
		{"down", 0, 0.05, func(h *qos.History) time.Time { return addProbes(h, epoch, time.Minute, qos.DialFailed) }},
		{"was down for a minute, and answered three probes since", 0.75, 0.95, func(h *qos.History) time.Time {
			return addProbes(h, addProbes(h, epoch, time.Minute, qos.DialFailed), 15*time.Second, qos.DialOK)
		}},
		{"broke once, is up again for a minute", 0.85, 0.99, func(h *qos.History) time.Time {
			now := addRunning(h, epoch, time.Hour, fine)
			h.Broke(now, "reset", time.Hour)
			h.Attempt(qos.Attempt{At: now, Outcome: qos.DialOK})
			return addRunning(h, now, time.Minute, fine)
		}},
		{"breaks every minute", 0, 0.5, func(h *qos.History) time.Time {
			now := epoch
			for range 60 {
				now = addRunning(h, now, time.Minute, fine)
				h.Broke(now, "reset", time.Minute)
				h.Attempt(qos.Attempt{At: now, Outcome: qos.DialOK})
			}
			return addRunning(h, now, 5*time.Second, fine)
		}},
		{"was congested for ten minutes, five minutes ago", 0.3, 0.65, func(h *qos.History) time.Time {
			return addProbes(h, addRunning(h, epoch, 10*time.Minute, lagging), 5*time.Minute, qos.DialOK)
		}},
	} {
		h := &qos.History{}
		now := c.scenario(h)
		s := ScoreRoute(h.Summary(now))
		if s.Value < c.lo || s.Value > c.hi {
			t.Errorf("%s: got %.2f, want %v to %v: %+v", c.name, s.Value, c.lo, c.hi, s.Parts)
		}
	}
}

func TestScoreWith(t *testing.T) {
	s := Score{Value: 0.5, Parts: []Part{{Name: "availability", Value: 0.5}}}
	if got := s.With(Part{Name: "level", Value: 0.5}); got.Value != 0.25 || len(got.Parts) != 2 || len(s.Parts) != 1 {
		t.Errorf("got %+v from %+v", got, s)
	}
}

// TestUnusedNeverBetter checks that a route that was never used, whatever its probes' results, does
// not score better than one that runs without fault.
func TestUnusedNeverBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unused := &qos.History{}
		now := epoch
		for range rapid.IntRange(0, 50).Draw(t, "probes") {
			now = now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "apart")) * time.Second)
			unused.Attempt(qos.Attempt{
				At: now, Probe: true, Outcome: rapid.SampledFrom(qos.Outcomes()).Draw(t, "outcome"),
				Took: map[qos.Phase]time.Duration{qos.PhaseTCP: time.Duration(rapid.IntRange(1, 2000).Draw(t, "tcp")) * time.Millisecond},
			})
		}
		used := &qos.History{}
		d := time.Duration(rapid.IntRange(1, 600).Draw(t, "ran")) * time.Second
		used.Attempt(qos.Attempt{At: now.Add(-d), Outcome: qos.DialOK})
		addRunning(used, now.Add(-d), d, fine)
		a, b := ScoreRoute(used.Summary(now)), ScoreRoute(unused.Summary(now))
		if a.Value < b.Value {
			t.Fatalf("running without fault: %+v\nnever used, but better: %+v", a, b)
		}
	})
}
