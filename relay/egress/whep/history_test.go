package whep

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A repeated packet is the packet that was sent, also across the wrap of sequence numbers, until
// it leaves the history.
func TestHistory(t *testing.T) {
	now := time.Now()
	h := newHistory(now, videoHistory, 65000)
	type packet struct {
		payload byte
		ts      uint32
		marker  bool
	}
	sent := map[uint16]packet{}
	for i := range 3000 {
		p := packet{byte(i), uint32(i) * 90, i%7 == 0}
		sent[h.add([]byte{p.payload}, p.ts, p.marker)] = p
	}
	last := h.next - 1
	if last != uint16((65000+2999)&0xffff) {
		t.Fatalf("got last sequence number %d", last)
	}
	for back := range uint16(videoHistory) {
		want := sent[last-back]
		got, ok := h.repeat(now, last-back)
		if back < maxCredit && (!ok || got.payload[0] != want.payload || got.ts != want.ts || got.marker != want.marker || got.seq != last-back) {
			t.Fatalf("%d back: got %+v %v, want %+v", back, got, ok, want)
		}
	}
	for _, seq := range []uint16{last - videoHistory, last + 1, last + videoHistory} {
		if _, ok := h.repeat(now.Add(time.Second), seq); ok {
			t.Errorf("unknown packet %d was repeated", seq)
		}
	}
	if _, ok := newTrackHistory().repeat(now, 0); ok {
		t.Error("an empty history repeated a packet")
	}
}

func newTrackHistory() *history { h := newHistory(time.Now(), audioHistory, 0); return &h }

// A packet is repeated at once the first time, then not before minRepeatInterval has passed, and
// at most maxRepeats times.
func TestHistoryRepeats(t *testing.T) {
	now := time.Now()
	h := newHistory(now, videoHistory, 0)
	for range 100 {
		h.add([]byte{1}, 0, false)
	}
	got := 0
	for at := now; at.Before(now.Add(time.Second)); at = at.Add(time.Millisecond) {
		if _, ok := h.repeat(at, 99); ok {
			if want := now.Add(time.Duration(got) * minRepeatInterval); !at.Equal(want) {
				t.Errorf("repeat %d after %v", got, at.Sub(now))
			}
			got++
		}
	}
	if got != maxRepeats {
		t.Errorf("got %d repeats", got)
	}
}

// A viewer that requests everything repeatedly gets no more than its credit.
func TestHostileViewer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		h := newHistory(now, rapid.SampledFrom([]int{videoHistory, audioHistory}).Draw(t, "kept"), rapid.Uint16().Draw(t, "first"))
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		sent, repeated := 0, 0
		for range 60 {
			for range rng.IntN(20) {
				h.add([]byte{1}, 0, false)
				sent++
			}
			now = now.Add(time.Duration(rng.IntN(40)) * time.Millisecond)
			for back := range uint16(len(h.sent)) {
				if _, ok := h.repeat(now, h.next-1-back); ok {
					repeated++
				}
			}
			if repeated > creditPerPacket*sent {
				t.Fatalf("got %d repeats of %d packets", repeated, sent)
			}
		}
		// Unused credit is bounded.
		for range 10 * maxCredit {
			h.add([]byte{1}, 0, false)
		}
		burst := 0
		for range 10 {
			now = now.Add(minRepeatInterval)
			for back := range uint16(len(h.sent)) {
				if _, ok := h.repeat(now, h.next-1-back); ok {
					burst++
				}
			}
		}
		if burst > maxCredit {
			t.Fatalf("got %d repeats at once", burst)
		}
	})
}
