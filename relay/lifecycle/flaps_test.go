package lifecycle

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// A publisher that breaks and returns ten times a second for five minutes joins only so often.
func TestFlapsAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := newHarness(reference).m
	joined, refused := 0, Admission{}
	for i := range 3000 {
		id := ID(i + 1) //nolint:gosec // small
		a, _ := m.Publish(now, id, false)
		if a.OK {
			m.Media(now, id, true)
			m.End(now, id, ingest.EOF)
			joined++
		} else {
			refused = a
		}
		now = now.Add(100 * time.Millisecond)
	}
	if most := flapBurst + 1 + int(5*time.Minute/flapEvery); joined > most || joined < most-2 {
		t.Errorf("got %d joins, want %d", joined, most)
	}
	if !refused.Flaps || refused.Wait <= 0 || refused.Wait > flapEvery || refused.Reason == "" {
		t.Errorf("got %+v, want a reason and a wait", refused)
	}
}

// A session that falls silent and returns on its connection over and over joins as often as one
// that reconnects may, and is not rejected for good.
func TestReturnsOnOneConnectionAreBounded(t *testing.T) {
	for _, every := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second} {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		m := newHarness(reference).m
		m.Publish(now, 1, false)
		m.Media(now, 1, true)
		joined, away, longest := 0, 0, 0
		for range int(20 * time.Minute / every) {
			now = now.Add(every)
			m.Silent(now, 1, ingest.Silence)
			away++
			if action, _ := m.Media(now, 1, true); action == Splice {
				joined, away = joined+1, 0
			}
			longest = max(longest, away)
		}
		if most := flapBurst + 1 + int(20*time.Minute/flapEvery); joined > most || joined < most-3 {
			t.Errorf("every %v: got %d rejoins, want %d", every, joined, most)
		}
		if most := int(flapEvery/every) + 1; longest > most {
			t.Errorf("every %v: got %d keyframes in a row that did not resume the stream, want at most %d", every, longest, most)
		}
	}
}

// A publisher that returns every few seconds is never rejected.
func TestSlowFlapsAreNotRejected(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var f flaps
	for i := range 1000 {
		if wait := f.countReturn(now); wait > 0 {
			t.Fatalf("publisher %d: got a wait of %v, want none", i, wait)
		}
		now = now.Add(flapEvery)
	}
}
