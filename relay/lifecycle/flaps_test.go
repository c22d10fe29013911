package lifecycle

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// A push that breaks and returns ten times a second for five minutes.
func TestFlapsAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := newDesk(reference).m
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
		t.Errorf("%d pushes joined, want %d", joined, most)
	}
	if !refused.Flaps || refused.Wait <= 0 || refused.Wait > flapEvery || refused.Reason == "" {
		t.Errorf("refused with %+v, want a reason and when to come again", refused)
	}
}

// One that comes back every few seconds is not refused, however long.
func TestASlowFlapIsNotRefused(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var f flaps
	for i := range 1000 {
		if wait := f.take(now); wait > 0 {
			t.Fatalf("push %d has to wait for %v", i, wait)
		}
		now = now.Add(flapEvery)
	}
}
