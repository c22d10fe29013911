package packetbuf

import (
	"errors"
	"testing"
	"time"
)

func TestJoinRecovery(t *testing.T) {
	r := NewRing(Limits{Duration: time.Second})
	n := 0
	add := func(kind Kind, recovery uint32, flags Flags) uint64 {
		p := &Packet{Track: Video, Codec: H264, Kind: kind, Recovery: recovery, Flags: flags, DTS: time.Duration(n) * 100 * time.Millisecond}
		n++
		r.Add(p)
		return p.Seq
	}
	join := func(want uint64) {
		t.Helper()
		c, _, err := r.JoinRecovery()
		if want == 0 {
			if !errors.Is(err, ErrNoKeyframe) {
				t.Fatalf("got %d, %v, want ErrNoKeyframe", c.next, err)
			}
			return
		}
		if err != nil || c.Next() != want {
			t.Fatalf("got %d, %v, want %d", c.next, err, want)
		}
	}
	join(0)
	key := add(Key, 0, 0)
	first := add(Delta, 3, 0)
	join(key) // a keyframe is preferred
	for range 11 {
		add(Delta, 0, 0)
	}
	join(0) // both have left the ring
	second := add(Delta, 3, 0)
	join(second) // the only one, though not correct yet
	add(Delta, 0, 0)
	third := add(Delta, 3, 0)
	join(second) // correct now
	add(Disposable, 0, 0)
	add(Delta, 0, 0)
	join(second)
	add(Delta, 0, 0)
	join(third)
	add(Delta, 0, Filler)
	join(0) // a freeze frame ends the publisher's recovery points
	if first == 0 {
		t.Error("got no sequence number")
	}
}

func TestRecoveryPointsAreBounded(t *testing.T) {
	r := NewRing(Limits{})
	for range 3 * maxRecoveryPoints {
		r.Add(&Packet{Track: Video, Kind: Delta, Recovery: 1})
	}
	if n := len(r.points.all); n != maxRecoveryPoints {
		t.Errorf("got %d, want %d", n, maxRecoveryPoints)
	}
}
