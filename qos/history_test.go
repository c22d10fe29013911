package qos

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func checkNear(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if math.Abs(got-want) > by {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestEmptyHistory(t *testing.T) {
	if diff := cmp.Diff(Summary{}, new(History).Summary(epoch)); diff != "" {
		t.Error(diff)
	}
}

func TestAttempts(t *testing.T) {
	h := &History{}
	for i := range 40 {
		a := Attempt{At: epoch.Add(time.Duration(i) * time.Second), Outcome: DialOK, Took: map[Phase]time.Duration{PhaseTCP: 30 * time.Millisecond, PhaseTLS: 70 * time.Millisecond}}
		if i%2 == 1 {
			a = Attempt{At: a.At, Probe: true, Outcome: DialTimeout, Phase: PhaseTCP, Detail: "took too long"}
		}
		h.Attempt(a)
	}
	now := epoch.Add(40 * time.Second)
	s := h.Summary(now)
	if s.Attempts != 40 || s.Failed != 20 || s.Streak != -1 || len(s.LastErrors) != maxShown || len(h.record.Attempts) != maxAttempts {
		t.Errorf("got %+v", s)
	}
	checkNear(t, "success", s.Success, 0.5, 0.02)
	checkNear(t, "dial", s.Dial, 0.1, 1e-9)
	checkNear(t, "TLS", s.Phases[PhaseTLS], 0.07, 1e-9)
	want := Failure{At: epoch.Add(39 * time.Second), Probe: true, Outcome: DialTimeout, Phase: PhaseTCP, Detail: "took too long"}
	if diff := cmp.Diff(want, s.LastErrors[0]); diff != "" {
		t.Error(diff)
	}
	if !s.LastSuccess.Equal(epoch.Add(38 * time.Second)) {
		t.Errorf("last success: got %v, want 38s after the start", s.LastSuccess)
	}
	// After an hour the counts are 0; the last errors are still reported.
	s = h.Summary(now.Add(time.Hour))
	if s.Attempts != 0 || len(s.Minutes) != 0 || len(s.LastErrors) != maxShown {
		t.Errorf("after an hour: got %+v", s)
	}
}

// TestWeights checks that only the duration of samples counts, not their number.
func TestWeights(t *testing.T) {
	often, seldom := &History{}, &History{}
	sample := func(h *History, at, span time.Duration, lag time.Duration) {
		bytes := uint64(span.Milliseconds()) * 100
		h.Sample(Sample{At: epoch.Add(at), Span: span, Sent: bytes, Delivered: bytes, Lag: lag, RTT: lag / 10, Stalled: lag > 3*time.Second})
	}
	for i := range 300 {
		at := time.Duration(i+1) * 100 * time.Millisecond
		lag := time.Duration(i/100*2) * time.Second
		sample(often, at, 100*time.Millisecond, lag)
		if (i+1)%10 == 0 {
			sample(seldom, at, time.Second, lag)
		}
	}
	now := epoch.Add(30 * time.Second)
	a, b := often.Summary(now), seldom.Summary(now)
	if diff := cmp.Diff(a, b, cmpopts.EquateApprox(0.05, 0.05), cmpopts.IgnoreFields(Summary{}, "Evidence")); diff != "" {
		t.Error(diff)
	}
	checkNear(t, "rate", a.Rate, 800e3, 1)
	checkNear(t, "ran", a.Ran, 30, 1e-9)
}

func TestRunning(t *testing.T) {
	h := &History{}
	now := epoch
	run := func(n int, s Sample) {
		for range n {
			now = now.Add(time.Second)
			s.At, s.Span = now, time.Second
			h.Sample(s)
		}
	}
	run(600, Sample{RTT: 40 * time.Millisecond, RTTVar: 5 * time.Millisecond, Delivered: 250000, Segments: 200, Resent: 2})
	s := h.Summary(now)
	checkNear(t, "RTT", s.RTT, 0.04, 1e-9)
	checkNear(t, "jitter", s.Jitter, 0.005, 1e-9)
	checkNear(t, "resent", s.Resent, 0.01, 1e-9)
	checkNear(t, "rate", s.Rate, 2e6, 1)
	checkNear(t, "trouble", s.Trouble, 0, 0)
	checkNear(t, "measured", s.Measured, 15/math.Ln2, 1)
	if s.Capacity != 0 || s.CapacityTrust != 0 {
		t.Errorf("got capacity %v, want 0 for a connection that was never the limit", s.Capacity)
	}
	run(15, Sample{RTT: 40 * time.Millisecond, Lag: 3 * time.Second, Stalled: true})
	s = h.Summary(now)
	checkNear(t, "stalls", s.Stalls, 0.5, 0.03)
	checkNear(t, "lag", s.Lag, 3*0.875, 0.05)
	checkNear(t, "trouble", s.Trouble, 15.0/500, 0.02)
	// The weight of measurements decays.
	s = h.Summary(now.Add(time.Minute))
	checkNear(t, "measured a minute later", s.Measured, 15/math.Ln2/16, 0.2)
	if s = h.Summary(now.Add(time.Hour)); s.Measured != 0 || s.RTT != 0 || s.Watched == 0 {
		t.Errorf("an hour later: got %+v", s)
	}
	// Times that go back and empty spans do no harm.
	h.Sample(Sample{At: epoch, Span: time.Second, Delivered: 1})
	h.Sample(Sample{At: now, Span: -1})
	h.Broke(epoch.Add(-time.Hour), "reset", -1)
	checkFinite(t, h.Summary(now))
}

func TestCapacity(t *testing.T) {
	h := &History{}
	limited := func(at time.Duration, delivered uint64, limited bool) {
		h.Sample(Sample{At: epoch.Add(at), Span: time.Second, Delivered: delivered, Limited: limited})
	}
	for i := range 60 {
		limited(time.Duration(i)*time.Second, 100_000, i%2 == 0)
	}
	now := epoch.Add(58 * time.Second)
	s := h.Summary(now)
	checkNear(t, "capacity", s.Capacity, 800e3, 1)
	checkNear(t, "trust", s.CapacityTrust, 1, 1e-9)
	s = h.Summary(now.Add(10 * time.Minute))
	checkNear(t, "capacity later", s.Capacity, 800e3, 1)
	checkNear(t, "trust later", s.CapacityTrust, 0.5, 1e-3)
	checkNear(t, "age", s.CapacityAge, 600, 1e-9)
	// The route delivers more now, so the old capacity does not hold.
	for i := range 60 {
		limited(time.Minute+time.Duration(i)*time.Second, 200_000, false)
	}
	s = h.Summary(epoch.Add(2 * time.Minute))
	checkNear(t, "capacity refuted", s.Capacity, 1.55e6, 0.1e6)
	// A stalled connection says nothing about its capacity.
	limited(2*time.Minute, 0, true)
	checkNear(t, "age", h.Summary(epoch.Add(2*time.Minute)).CapacityAge, 62, 1e-9)
}

func TestBreaks(t *testing.T) {
	h := &History{}
	now := epoch
	for range 60 {
		now = now.Add(time.Minute)
		h.Broke(now, "reset", 50*time.Second)
	}
	h.Broke(now, "silence", 0)
	s := h.Summary(now)
	checkNear(t, "breaks per hour", s.BreaksPerHour, 60*0.9, 4)
	if s.Breaks["silence"] != 1 || s.Breaks["reset"] != maxBreaks-1 || s.LastBreaks[0].Cause != "silence" || s.LastBreaks[1].Lasted != 50 {
		t.Errorf("got %+v", s)
	}
	checkNear(t, "breaks per hour, 20 minutes later", h.Summary(now.Add(20*time.Minute)).BreaksPerHour, s.BreaksPerHour/2, 0.01)
}

// checkFinite checks that the numbers of a summary are finite, and not negative.
func checkFinite(t interface {
	Errorf(format string, args ...any)
	Error(args ...any)
}, s Summary,
) {
	for name, v := range map[string]float64{
		"success": s.Success, "evidence": s.Evidence, "dial": s.Dial, "measured": s.Measured, "rtt": s.RTT, "jitter": s.Jitter,
		"resent": s.Resent, "rate": s.Rate, "stalls": s.Stalls, "lag": s.Lag, "capacity": s.Capacity, "age": s.CapacityAge,
		"trust": s.CapacityTrust, "watched": s.Watched, "trouble": s.Trouble, "ran": s.Ran, "breaks": s.BreaksPerHour,
	} {
		if !(v >= 0) || math.IsInf(v, 0) {
			t.Errorf("%s: got %v, want a finite number", name, v)
		}
	}
	for name, v := range map[string]float64{"success": s.Success, "resent": s.Resent, "stalls": s.Stalls, "trouble": s.Trouble, "trust": s.CapacityTrust} {
		if v > 1.000001 {
			t.Errorf("%s: got %v, want a share", name, v)
		}
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

// TestHistoryInvariants checks for any input that a summary is finite, that memory is bounded, and
// that encoding and decoding changes nothing.
func TestHistoryInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &History{}
		now := epoch
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200_000).Draw(t, "ms")) * time.Millisecond)
			span := time.Duration(rapid.Int64Range(-5, 120_000).Draw(t, "span")) * time.Millisecond
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				h.Attempt(Attempt{
					At: now, Probe: rapid.Bool().Draw(t, "probe"), Outcome: rapid.SampledFrom(Outcomes()).Draw(t, "outcome"),
					Phase: PhaseTCP, Took: map[Phase]time.Duration{PhaseTCP: span}, Detail: rapid.String().Draw(t, "detail"),
				})
			case 1:
				h.Sample(Sample{
					At: now, Span: span, RTT: span, RTTVar: span, Lag: span, Sent: rapid.Uint64().Draw(t, "sent"),
					Delivered: rapid.Uint64Range(0, 1<<40).Draw(t, "delivered"), Segments: rapid.Uint64Range(0, 1<<30).Draw(t, "segments"),
					Resent: rapid.Uint64Range(0, 1<<30).Draw(t, "resent"), Limited: rapid.Bool().Draw(t, "limited"), Stalled: rapid.Bool().Draw(t, "stalled"),
				})
			default:
				h.Broke(now, rapid.String().Draw(t, "cause"), span)
			}
		}
		s := h.Summary(now)
		checkFinite(t, s)
		if len(h.record.Attempts) > maxAttempts || len(h.record.Breaks) > maxBreaks || len(h.record.Minutes) > hour || len(h.record.Phases) > len(Phases()) {
			t.Fatalf("got %+v, want bounded lists", h.record)
		}
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeHistory(b, now)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, again.Summary(now), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
