package whep

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// walk has a pace send packets that lie 40 ms apart, from one time of the stream to another, and
// returns how long it took. live is the stream's time now: a packet arrived that much before.
func walk(t *testing.T, b *pacer, now *time.Time, from, to time.Duration, live func(time.Time) time.Duration) time.Duration {
	t.Helper()
	begun := *now
	for dts := from; dts <= to; dts += 40 * time.Millisecond {
		p := &packetbuf.Packet{Kind: packetbuf.Delta, DTS: dts, Arrived: now.Add(-(live(*now) - dts))}
		if wait := b.wait(*now, p); wait > 0 {
			*now = now.Add(wait)
		}
	}
	return now.Sub(begun)
}

// A backlog is sent at four times its pace, what is live at once.
func TestPace(t *testing.T) {
	start := time.Now()
	now := start
	live := func(at time.Time) time.Duration { return 10*time.Second + at.Sub(start) }
	var b pacer
	if took := walk(t, &b, &now, 6*time.Second, 10*time.Second, live); took != time.Second {
		t.Errorf("4 s took %v", took)
	}
	if took := walk(t, &b, &now, 10*time.Second, 11*time.Second, live); took > 250*time.Millisecond {
		t.Errorf("the rest took %v", took)
	}
	p := &packetbuf.Packet{Kind: packetbuf.Delta, DTS: 11 * time.Second, Arrived: now}
	if wait := b.wait(now, p); wait > 0 {
		t.Errorf("live waits %v", wait)
	}
	// Once more from a keyframe: at once, then again at four times.
	if took := walk(t, &b, &now, 9*time.Second, 9*time.Second, live); took != 0 {
		t.Errorf("the keyframe waits %v", took)
	}
	if took := walk(t, &b, &now, 9*time.Second, 10*time.Second, live); took != 250*time.Millisecond {
		t.Errorf("a second took %v", took)
	}
	// And from there once more, before it is live.
	if took := walk(t, &b, &now, 8*time.Second, 9*time.Second, live); took != 250*time.Millisecond {
		t.Errorf("another second took %v", took)
	}
}

// A gap in a backlog is not waited through: nothing comes in it.
func TestPaceOverGap(t *testing.T) {
	now := time.Now()
	live := func(time.Time) time.Duration { return time.Hour }
	var b pacer
	walk(t, &b, &now, 0, time.Second, live)
	if took := walk(t, &b, &now, 50*time.Second, 51*time.Second, live); took != 250*time.Millisecond {
		t.Errorf("a second behind a gap took %v", took)
	}
}

// What is not media does not wait, and is not what a backlog begins with.
func TestPaceOfConfig(t *testing.T) {
	var b pacer
	now := time.Now()
	for _, p := range []*packetbuf.Packet{{Kind: packetbuf.Config}, {Track: packetbuf.Data, Kind: packetbuf.Delta}} {
		if wait := b.wait(now, p); wait != 0 || !b.start.IsZero() {
			t.Errorf("%v waits %v", p, wait)
		}
	}
}
