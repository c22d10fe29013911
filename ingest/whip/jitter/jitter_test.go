package jitter

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zero = time.Unix(1000, 0)

func ms(n int) time.Time { return zero.Add(time.Duration(n) * time.Millisecond) }

// pushUnit pushes a packet that is a complete access unit.
func pushUnit(b *Buffer[int], now time.Time, seq uint16, start bool, p int) {
	kind := Never
	if start {
		kind = Always
	}
	b.Push(now, seq, uint32(seq), kind, p)
}

// popAll pops all available packets.
func popAll(b *Buffer[int], now time.Time, patience time.Duration) (out []int, gaps int) {
	for {
		p, gap, ok := b.Pop(now, patience)
		if !ok {
			return out, gaps
		}
		if gap {
			gaps++
		}
		out = append(out, p)
	}
}

func TestInOrder(t *testing.T) {
	b := NewAudio[int]()
	for i, seq := range []uint16{65534, 0, 65535, 1, 1} {
		pushUnit(b, ms(i), seq, false, int(seq))
	}
	out, gaps := popAll(b, ms(5), time.Second)
	if !slices.Equal(out, []int{65534, 65535, 0, 1}) || gaps != 0 || b.Late != 1 {
		t.Errorf("got %v, %d gaps, %d late", out, gaps, b.Late)
	}
	pushUnit(b, ms(6), 65535, false, 9)
	if out, _ = popAll(b, ms(6), time.Second); len(out) != 0 || b.Late != 2 {
		t.Errorf("late packet: got %v, want it dropped", out)
	}
}

// Audio skips missing packets when patience has run out.
func TestAudioSkipsMissing(t *testing.T) {
	b := NewAudio[int]()
	pushUnit(b, ms(0), 1, false, 1)
	pushUnit(b, ms(20), 3, false, 3)
	if out, _ := popAll(b, ms(60), 100*time.Millisecond); !slices.Equal(out, []int{1}) {
		t.Fatalf("got %v", out)
	}
	out, gaps := popAll(b, ms(120), 100*time.Millisecond)
	if !slices.Equal(out, []int{3}) || gaps != 1 || b.Lost != 1 {
		t.Errorf("got %v, %d gaps, %d lost", out, gaps, b.Lost)
	}
}

// Video waits for a missing packet until it arrives or a decoder can start at a later one.
func TestVideoWaitsForStart(t *testing.T) {
	b := NewVideo[int]()
	pushUnit(b, ms(0), 9, false, 9) // useless: a decoder cannot start there
	pushUnit(b, ms(0), 10, true, 10)
	pushUnit(b, ms(0), 12, false, 12)
	if out, gaps := popAll(b, ms(1), 50*time.Millisecond); !slices.Equal(out, []int{10}) || gaps != 1 {
		t.Fatalf("got %v, %d gaps", out, gaps)
	}
	if out, _ := popAll(b, ms(500), 50*time.Millisecond); len(out) != 0 {
		t.Fatalf("after a gap: got %v, want nothing", out)
	}
	if since := b.StarvedSince(); !since.Equal(ms(0)) {
		t.Errorf("got starving since %v", since)
	}
	pushUnit(b, ms(510), 11, false, 11)
	if out, gaps := popAll(b, ms(510), 50*time.Millisecond); !slices.Equal(out, []int{11, 12}) || gaps != 0 {
		t.Fatalf("repaired: got %v, %d gaps", out, gaps)
	}
	pushUnit(b, ms(600), 14, false, 14)
	pushUnit(b, ms(610), 15, true, 15)
	if out, _ := popAll(b, ms(620), 50*time.Millisecond); len(out) != 0 {
		t.Fatalf("before patience runs out: got %v, want nothing", out)
	}
	if out, gaps := popAll(b, ms(660), 50*time.Millisecond); !slices.Equal(out, []int{15}) || gaps != 1 {
		t.Errorf("new start: got %v, %d gaps", out, gaps)
	}
	if !b.StarvedSince().IsZero() {
		t.Error("after a new start: got starving")
	}
}

// A decoder cannot start at a frame that may have lost its parameter sets, but can if its access unit
// has arrived from the first packet on.
func TestStartsIfWhole(t *testing.T) {
	const aud, picture = Never, IfWhole
	type packet struct {
		seq       uint16
		timestamp uint32
		start     Start
	}
	for name, c := range map[string]struct {
		packets []packet
		out     []int
	}{
		"the first that comes":         {[]packet{{1, 0, picture}, {2, 0, Never}}, []int{1, 2}},
		"lost before it":               {[]packet{{1, 0, Always}, {3, 90, picture}, {4, 90, Never}}, []int{1}},
		"lost before, it comes late":   {[]packet{{1, 0, Always}, {3, 90, picture}, {4, 90, Never}, {2, 90, Never}}, []int{1, 2, 3, 4}},
		"behind another":               {[]packet{{1, 0, Always}, {3, 0, Never}, {4, 90, picture}}, []int{1, 4}},
		"behind a delimiter":           {[]packet{{1, 0, Always}, {3, 0, Never}, {4, 90, aud}, {5, 90, picture}}, []int{1, 5}},
		"the delimiter's start lost":   {[]packet{{1, 0, Always}, {3, 90, aud}, {4, 90, picture}, {5, 180, Never}}, []int{1}},
		"lost, then behind what came":  {[]packet{{1, 0, Always}, {3, 90, picture}, {4, 180, Never}, {5, 270, picture}}, []int{1, 5}},
		"parameter sets behind a loss": {[]packet{{1, 0, Always}, {3, 90, Always}, {4, 90, picture}}, []int{1, 3, 4}},
	} {
		for _, at := range []string{"at once", "one by one"} {
			b := NewVideo[int]()
			var out []int
			take := func(now time.Time) {
				more, _ := popAll(b, now, 50*time.Millisecond)
				out = append(out, more...)
			}
			for i, p := range c.packets {
				b.Push(ms(i), p.seq, p.timestamp, p.start, int(p.seq))
				if at == "one by one" {
					take(ms(i))
				}
			}
			take(ms(len(c.packets)))
			take(ms(1000))
			if !slices.Equal(out, c.out) {
				t.Errorf("%s, %s: got %v", name, at, out)
			}
			if starved := !b.StarvedSince().IsZero(); starved != (len(c.out) == 1) {
				t.Errorf("%s, %s: got starving: %v", name, at, starved)
			}
		}
	}
}

func TestNacks(t *testing.T) {
	b := NewVideo[int]()
	pushUnit(b, ms(0), 1, true, 1)
	pushUnit(b, ms(0), 4, false, 4)
	if got := b.Nacks(ms(5), 0, nil); len(got) != 0 {
		t.Errorf("packet that may only be late: got requests %v, want none", got)
	}
	if got := b.Nacks(ms(10), 40*time.Millisecond, nil); !slices.Equal(got, []uint16{2, 3}) {
		t.Errorf("got requests %v", got)
	}
	pushUnit(b, ms(40), 2, false, 2)
	if got := b.Nacks(ms(45), 40*time.Millisecond, nil); len(got) != 0 {
		t.Errorf("before an answer could arrive: got requests %v, want none", got)
	}
	if got := b.Nacks(ms(70), 40*time.Millisecond, nil); !slices.Equal(got, []uint16{3}) {
		t.Errorf("got requests %v", got)
	}
	n := 0
	for at := 100; at < 10000; at += 50 {
		n += len(b.Nacks(ms(at), 40*time.Millisecond, nil))
	}
	if n != maxRequests-2 {
		t.Errorf("got %d further requests", n)
	}
}

// The buffer follows a sender that restarts, and does not grow for one that floods.
func TestBounds(t *testing.T) {
	b := NewVideo[int]()
	pushUnit(b, ms(0), 1, true, 1)
	popAll(b, ms(0), time.Second)
	for i := 3; i < 3*videoSize; i++ {
		pushUnit(b, ms(1), uint16(i), i == 2*videoSize+5, i)
	}
	out, _ := popAll(b, ms(1), time.Second)
	if len(out) != videoSize-5 || out[0] != 2*videoSize+5 {
		t.Errorf("got %d packets from %v", len(out), out[:1])
	}
	late := b.Late
	pushUnit(b, ms(2), 20000, true, 1) // a single packet far off
	if out, _ := popAll(b, ms(2), time.Second); len(out) != 0 || b.Late != late+1 {
		t.Errorf("single packet far off: got %v, %d late", out, b.Late)
	}
	pushUnit(b, ms(2), 40000, true, 1)
	pushUnit(b, ms(2), 40001, true, 2)
	if out, gaps := popAll(b, ms(2), time.Second); len(out) != 1 || gaps != 1 {
		t.Errorf("restart: got %v, %d gaps", out, gaps)
	}
}

// Whatever the order of arrival, packets are returned in rising order, none twice, and video continues
// after a gap at a packet where a decoder can start. Without loss all packets are returned.
func TestAgainstOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		video := rapid.Bool().Draw(t, "video")
		b := NewAudio[int]()
		if video {
			b = NewVideo[int]()
		}
		n := rapid.IntRange(1, 300).Draw(t, "n")
		first := rapid.IntRange(0, 65535).Draw(t, "first")
		lossless := rapid.Bool().Draw(t, "lossless")
		starts := map[int]bool{0: true}
		order := make([]int, 0, n)
		for i := range n {
			starts[i] = starts[i] || rapid.IntRange(0, 20).Draw(t, "start") == 0
			if i == 0 || lossless || rapid.IntRange(0, 9).Draw(t, "lost") > 0 {
				order = append(order, i)
			}
		}
		for i := 1; i < len(order); i++ { // each is displaced by a few places, but not before the first
			j := min(len(order)-1, i+rapid.IntRange(0, 3).Draw(t, "shift"))
			order[i], order[j] = order[j], order[i]
		}
		last, now := -1, zero
		check := func(patience time.Duration) {
			for {
				p, gap, ok := b.Pop(now, patience)
				if !ok {
					return
				}
				if p <= last {
					t.Fatalf("got %d after %d", p, last)
				}
				if !gap && p != last+1 {
					t.Fatalf("got %d after %d without a gap", p, last)
				}
				if video && p != last+1 && !starts[p] {
					t.Fatalf("got %d after %d, where a decoder cannot start", p, last)
				}
				last = p
			}
		}
		for _, i := range order {
			now = now.Add(5 * time.Millisecond)
			pushUnit(b, now, uint16(first+i), starts[i], i)
			check(60 * time.Millisecond)
		}
		if lossless && last != n-1 {
			t.Fatalf("got %d packets, want %d", last+1, n)
		}
	})
}
