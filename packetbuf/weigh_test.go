package packetbuf

import (
	"testing"
	"time"
)

// appendWeighedGOPs appends n GOPs of one second: a key of 1000 bytes, then 9 pairs of a delta of 100 and a
// disposable of 50, and audio of 10 bytes with each frame.
func appendWeighedGOPs(r *Ring, n int) {
	at := r.Stats().Newest
	put := func(tr Track, k Kind, size int) {
		r.Add(&Packet{Track: tr, Kind: k, DTS: at, Payload: make([]byte, size)})
	}
	for range n {
		for i := range 20 {
			at += 50 * time.Millisecond
			switch {
			case i == 0:
				put(Video, Key, 1000)
			case i == 19:
			case i%2 == 1:
				put(Video, Delta, 100)
			default:
				put(Video, Disposable, 50)
			}
			put(Audio, Delta, 10)
		}
	}
}

func TestWeighTakesWholeGOPs(t *testing.T) {
	r := NewRing(Limits{})
	appendWeighedGOPs(r, 8)
	got := r.Weigh(4 * time.Second)
	// The newest GOP may not be complete, and the fifth begins too long ago.
	want := Weights{Key: 3000, Delta: 2700, Disposable: 1350, Audio: 600, GOPs: 3, Span: 3 * time.Second}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWeighSmallRings(t *testing.T) {
	r := NewRing(Limits{})
	if got := r.Weigh(time.Second); got != (Weights{}) {
		t.Errorf("empty ring: got %+v, want none", got)
	}
	appendWeighedGOPs(r, 1)
	if got := r.Weigh(time.Second); got.GOPs != 1 || got.Key != 1000 || got.Span != 950*time.Millisecond {
		t.Errorf("one GOP: got %+v", got)
	}
	r.Add(&Packet{Track: Video, Kind: Key, Flags: Filler, DTS: 2 * time.Second, Payload: make([]byte, 500)})
	r.Add(&Packet{Track: Video, Kind: Key, DTS: 3 * time.Second, Payload: make([]byte, 500)})
	if got := r.Weigh(10 * time.Second); got.Key != 1000 || got.GOPs != 2 {
		t.Errorf("with filler: got %+v, want 1000 key bytes of 2 GOPs", got)
	}
	before := r.Weigh(10 * time.Second)
	r.Add(&Packet{Track: Audio, Kind: Delta, Flags: Bridged, DTS: 3 * time.Second, Payload: make([]byte, 500)})
	r.Add(&Packet{Track: Video, Kind: Key, DTS: 4 * time.Second, Payload: make([]byte, 500)})
	after := r.Weigh(10 * time.Second)
	if before.GOPs, before.Key, before.Span = 3, 1500, 3950*time.Millisecond; after != before {
		t.Errorf("with bridged audio: got %+v, want %+v", after, before)
	}
}

func TestBackFindsTheGOPOfAPacket(t *testing.T) {
	r := NewRing(Limits{Duration: 3 * time.Second})
	if _, _, err := r.Back(1); err != ErrNoKeyframe { //nolint:errorlint // not wrapped
		t.Fatalf("empty ring: got %v, want %v", err, ErrNoKeyframe)
	}
	appendWeighedGOPs(r, 6)
	first := r.gops.front().start
	for _, g := range r.gops.items[r.gops.first:] {
		for _, seq := range []uint64{g.start, g.start + 5} {
			if c, _, err := r.Back(seq); err != nil || c.Next() != g.start {
				t.Errorf("back from %d: got %d, %v, want %d", seq, c.Next(), err, g.start)
			}
		}
	}
	if c, _, _ := r.Back(1); c.Next() != first {
		t.Errorf("back from an evicted packet: got %d, want %d", c.Next(), first)
	}
}
