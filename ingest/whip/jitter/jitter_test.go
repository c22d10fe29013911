package jitter

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zero = time.Unix(1000, 0)

func ms(n int) time.Time { return zero.Add(time.Duration(n) * time.Millisecond) }

// drain pops all there is.
func drain(b *Buffer[int], now time.Time, patience time.Duration) (out []int, gaps int) {
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
		b.Push(ms(i), seq, false, int(seq))
	}
	out, gaps := drain(b, ms(5), time.Second)
	if !slices.Equal(out, []int{65534, 65535, 0, 1}) || gaps != 0 || b.Late != 1 {
		t.Errorf("%v, %d gaps, %d late", out, gaps, b.Late)
	}
	b.Push(ms(6), 65535, false, 9)
	if out, _ = drain(b, ms(6), time.Second); len(out) != 0 || b.Late != 2 {
		t.Errorf("late packet handed out: %v", out)
	}
}

// Sound that does not come is stepped over when patience has run out.
func TestSoundGoesOn(t *testing.T) {
	b := NewAudio[int]()
	b.Push(ms(0), 1, false, 1)
	b.Push(ms(20), 3, false, 3)
	if out, _ := drain(b, ms(60), 100*time.Millisecond); !slices.Equal(out, []int{1}) {
		t.Fatalf("%v", out)
	}
	out, gaps := drain(b, ms(120), 100*time.Millisecond)
	if !slices.Equal(out, []int{3}) || gaps != 1 || b.Lost != 1 {
		t.Errorf("%v, %d gaps, %d lost", out, gaps, b.Lost)
	}
}

// A picture that was damaged is waited for until it comes or a decoder can start anew.
func TestPicturesStayWhole(t *testing.T) {
	b := NewVideo[int]()
	b.Push(ms(0), 9, false, 9) // of no use: nothing starts there
	b.Push(ms(0), 10, true, 10)
	b.Push(ms(0), 12, false, 12)
	if out, gaps := drain(b, ms(1), 50*time.Millisecond); !slices.Equal(out, []int{10}) || gaps != 1 {
		t.Fatalf("%v, %d gaps", out, gaps)
	}
	if out, _ := drain(b, ms(500), 50*time.Millisecond); len(out) != 0 {
		t.Fatalf("handed out behind a gap: %v", out)
	}
	if since := b.Starves(); !since.Equal(ms(0)) {
		t.Errorf("starves since %v", since)
	}
	b.Push(ms(510), 11, false, 11)
	if out, gaps := drain(b, ms(510), 50*time.Millisecond); !slices.Equal(out, []int{11, 12}) || gaps != 0 {
		t.Fatalf("repaired: %v, %d gaps", out, gaps)
	}
	b.Push(ms(600), 14, false, 14)
	b.Push(ms(610), 15, true, 15)
	if out, _ := drain(b, ms(620), 50*time.Millisecond); len(out) != 0 {
		t.Fatalf("given up too soon: %v", out)
	}
	if out, gaps := drain(b, ms(660), 50*time.Millisecond); !slices.Equal(out, []int{15}) || gaps != 1 {
		t.Errorf("a new start: %v, %d gaps", out, gaps)
	}
	if !b.Starves().IsZero() {
		t.Error("starves after a new start")
	}
}

func TestNacks(t *testing.T) {
	b := NewVideo[int]()
	b.Push(ms(0), 1, true, 1)
	b.Push(ms(0), 4, false, 4)
	if got := b.Nacks(ms(5), 0, nil); len(got) != 0 {
		t.Errorf("asked for what may only be late: %v", got)
	}
	if got := b.Nacks(ms(10), 40*time.Millisecond, nil); !slices.Equal(got, []uint16{2, 3}) {
		t.Errorf("%v", got)
	}
	b.Push(ms(40), 2, false, 2)
	if got := b.Nacks(ms(45), 40*time.Millisecond, nil); len(got) != 0 {
		t.Errorf("asked again before an answer could come: %v", got)
	}
	if got := b.Nacks(ms(70), 40*time.Millisecond, nil); !slices.Equal(got, []uint16{3}) {
		t.Errorf("%v", got)
	}
	n := 0
	for at := 100; at < 10000; at += 50 {
		n += len(b.Nacks(ms(at), 40*time.Millisecond, nil))
	}
	if n != tries-2 {
		t.Errorf("asked %d times more", n)
	}
}

// A sender that begins anew is followed; one that floods does not grow the buffer.
func TestBounds(t *testing.T) {
	b := NewVideo[int]()
	b.Push(ms(0), 1, true, 1)
	drain(b, ms(0), time.Second)
	for i := 3; i < 3*videoSize; i++ {
		b.Push(ms(1), uint16(i), i == 2*videoSize+5, i)
	}
	out, _ := drain(b, ms(1), time.Second)
	if len(out) != videoSize-5 || out[0] != 2*videoSize+5 {
		t.Errorf("%d packets from %v", len(out), out[:1])
	}
	late := b.Late
	b.Push(ms(2), 20000, true, 1) // one astray
	if out, _ := drain(b, ms(2), time.Second); len(out) != 0 || b.Late != late+1 {
		t.Errorf("one astray: %v, %d late", out, b.Late)
	}
	b.Push(ms(2), 40000, true, 1)
	b.Push(ms(2), 40001, true, 2)
	if out, gaps := drain(b, ms(2), time.Second); len(out) != 1 || gaps != 1 {
		t.Errorf("a new beginning: %v, %d gaps", out, gaps)
	}
}

// Whatever comes in whatever order, what goes out rises, nothing twice, and of a video stream
// what follows a gap begins with a start. Where nothing is lost all of it comes out.
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
		for i := 1; i < len(order); i++ { // each at most a few places from its own, and behind the first
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
					t.Fatalf("%d after %d", p, last)
				}
				if !gap && p != last+1 {
					t.Fatalf("%d after %d without a gap", p, last)
				}
				if video && p != last+1 && !starts[p] {
					t.Fatalf("%d after %d, with which nothing can start", p, last)
				}
				last = p
			}
		}
		for _, i := range order {
			now = now.Add(5 * time.Millisecond)
			b.Push(now, uint16(first+i), starts[i], i)
			check(60 * time.Millisecond)
		}
		if lossless && last != n-1 {
			t.Fatalf("%d of %d came out", last+1, n)
		}
	})
}
