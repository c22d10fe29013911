package whep

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// walk lets a pacer send packets that are 40 ms apart, from one stream time to another, and
// returns how long that took. live returns the stream's current time: a packet arrived that much
// before.
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

// A backlog is sent at four times real time, live packets at once.
func TestPace(t *testing.T) {
	start := time.Now()
	now := start
	live := func(at time.Time) time.Duration { return 10*time.Second + at.Sub(start) }
	var b pacer
	if took := walk(t, &b, &now, 6*time.Second, 10*time.Second, live); took != time.Second {
		t.Errorf("4 s of backlog took %v", took)
	}
	if took := walk(t, &b, &now, 10*time.Second, 11*time.Second, live); took > 250*time.Millisecond {
		t.Errorf("rest of the backlog took %v", took)
	}
	p := &packetbuf.Packet{Kind: packetbuf.Delta, DTS: 11 * time.Second, Arrived: now}
	if wait := b.wait(now, p); wait > 0 {
		t.Errorf("live packet waits %v", wait)
	}
	// Repeated from a keyframe: the keyframe at once, the rest at four times real time.
	if took := walk(t, &b, &now, 9*time.Second, 9*time.Second, live); took != 0 {
		t.Errorf("keyframe waits %v", took)
	}
	if took := walk(t, &b, &now, 9*time.Second, 10*time.Second, live); took != 250*time.Millisecond {
		t.Errorf("a second took %v", took)
	}
	// Repeated from there again, before it is live.
	if took := walk(t, &b, &now, 8*time.Second, 9*time.Second, live); took != 250*time.Millisecond {
		t.Errorf("another second took %v", took)
	}
}

// A gap in a backlog is not waited through.
func TestPaceOverGap(t *testing.T) {
	now := time.Now()
	live := func(time.Time) time.Duration { return time.Hour }
	var b pacer
	walk(t, &b, &now, 0, time.Second, live)
	if took := walk(t, &b, &now, 50*time.Second, 51*time.Second, live); took != 250*time.Millisecond {
		t.Errorf("a second after a gap took %v", took)
	}
}

// A packet that is not media does not wait, and does not begin a backlog.
func TestPaceOfConfig(t *testing.T) {
	var b pacer
	now := time.Now()
	for _, p := range []*packetbuf.Packet{{Kind: packetbuf.Config}, {Track: packetbuf.Data, Kind: packetbuf.Delta}} {
		if wait := b.wait(now, p); wait != 0 || !b.start.IsZero() {
			t.Errorf("%v waits %v", p, wait)
		}
	}
}
