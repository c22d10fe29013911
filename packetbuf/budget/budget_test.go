package budget

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestShare(t *testing.T) {
	const MiB = 1 << 20
	for _, c := range []struct {
		name  string
		limit int64
		sizes []int64
		want  int64
	}{
		{"no buffers", 100, nil, Unlimited},
		{"all fit", 100, []int64{40, 60}, Unlimited},
		{"the largest shrinks", 100, []int64{10, 20, 200}, 70},
		{"two large ones shrink equally", 100, []int64{300, 10, 200}, 45},
		{"twelve greedy pushes beside a modest one", 512 * MiB, append(slices.Repeat([]int64{62 * MiB}, 12), 6*MiB), (512 - 6) * MiB / 12},
		{"fixed memory exceeds the limit", -5, []int64{1, 2}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Share(c.limit, c.sizes); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// The shares use as much of the limit as they can and never exceed it.
func TestShareProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOf(rapid.Int64Range(0, 1<<30)).Draw(t, "sizes")
		limit := rapid.Int64Range(0, 1<<34).Draw(t, "limit")
		fits := func(share int64) bool {
			sum := int64(0)
			for _, s := range sizes {
				sum += min(s, share)
			}
			return sum <= limit
		}
		share := Share(limit, sizes)
		if !fits(share) {
			t.Fatalf("got share %d, want one within the limit of %d", share, limit)
		}
		if share != Unlimited && fits(share+1) {
			t.Fatalf("got share %d, want the largest that fits", share)
		}
	})
}

// fakeBuffer is a buffer that keeps to its share.
type fakeBuffer struct {
	account *Account
	size    int
}

func newBuffer(b *Budget, size int) *fakeBuffer {
	out := &fakeBuffer{}
	out.account = b.Open(Packets, out.shrink)
	out.grow(size)
	return out
}

func (u *fakeBuffer) grow(n int) { u.size += n; u.account.Set(u.size) }
func (u *fakeBuffer) shrink() {
	u.size = int(min(int64(u.size), u.account.Share()))
	u.account.Set(u.size)
}

func TestOnlyGreedyBuffersShrink(t *testing.T) {
	near := 0
	b := New(100<<20, func() { near++ })
	modest := newBuffer(b, 6<<20)
	var greedy []*fakeBuffer
	for range 12 {
		greedy = append(greedy, newBuffer(b, 0))
	}
	for range 62 * 16 {
		for _, g := range greedy {
			g.grow(1 << 16)
			if near > 0 {
				near = 0
				b.Balance()
			}
			if used := b.Used(); used > b.Limit() {
				t.Fatalf("used: got %d, want at most %d", used, b.Limit())
			}
		}
	}
	if modest.size != 6<<20 {
		t.Errorf("modest buffer: got %d bytes, want %d", modest.size, 6<<20)
	}
	if b.Full() {
		t.Error("got full, want room, as the greedy buffers can shrink")
	}
	for _, g := range greedy {
		g.account.Close()
	}
	if b.Balance(); b.Share() != Unlimited {
		t.Errorf("share after memory was freed: got %d, want Unlimited", b.Share())
	}
	if got := b.used.Load(); got != 6<<20 {
		t.Errorf("used: got %d, want the modest buffer's %d", got, 6<<20)
	}
}

func TestFull(t *testing.T) {
	b := New(1<<30, nil)
	for i := 0; !b.Full(); i++ {
		if i > 1000 {
			t.Fatal("got never full, want full")
		}
		newBuffer(b, 10<<20)
		b.Balance()
	}
	if n := len(b.accounts); n < 1<<30/(minShare*5/4) {
		t.Errorf("got full with %d buffers, want at least %d", n, 1<<30/(minShare*5/4))
	}
}

func TestFixedMemoryCounts(t *testing.T) {
	b := New(100<<20, nil)
	fixed, u := b.OpenFixed(Reassembly), newBuffer(b, 60<<20)
	fixed.Add(50 << 20)
	b.Balance()
	if want := 40 << 20; u.size != want {
		t.Errorf("buffer next to fixed memory: got %d bytes, want %d", u.size, want)
	}
	fixed.Add(50 << 20)
	if !b.Full() {
		t.Error("got room, want full, as fixed memory uses everything")
	}
}

// Holders of a capped account above its cap are bounded, and modest ones are not refused.
func TestReserve(t *testing.T) {
	const MiB = 1 << 20
	for _, c := range []struct {
		name             string
		used, more, held int
		want             bool
	}{
		{"below the cap", 4 * MiB, 4 * MiB, 8 * MiB, true},
		{"a large one past the cap", 7 * MiB, 2 * MiB, 8 * MiB, false},
		{"a modest one past the cap", 9 * MiB, MiB / 2, MiB, true},
		{"a modest one past twice the cap", 16 * MiB, MiB / 2, MiB, false},
		{"a scant one past twice the cap", 20 * MiB, 64 << 10, 64 << 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(64*MiB, nil).OpenFixed(Reassembly)
			a.Add(c.used)
			want := c.used
			if c.want {
				want += c.more
			}
			if got := a.Reserve(c.more, c.held); got != c.want || a.Extra() != want {
				t.Errorf("got %v with %d bytes counted, want %v with %d", got, a.Extra(), c.want, want)
			}
		})
	}
}

// If fixed memory uses the whole limit, each buffer still has its floor.
func TestShareHasAFloor(t *testing.T) {
	for _, limit := range []int64{32 << 20, 1 << 30} {
		b := New(limit, nil)
		u := newBuffer(b, 30<<20)
		b.OpenFixed(Reassembly).Add(int(2 * limit))
		b.Balance()
		if want := min(2<<20, limit/32); b.Share() != want || int64(u.size) != want {
			t.Errorf("limit %d: got share %d and %d bytes kept, want %d", limit, b.Share(), u.size, want)
		}
	}
}

func TestNil(t *testing.T) {
	var b *Budget
	a := b.Open(Packets, nil)
	a.Set(1)
	a.Add(1)
	a.Close()
	if got := fmt.Sprint(a.Share() == Unlimited, b.Full(), a.Extra()); got != "true false 0" {
		t.Errorf("nil budget: got %q, want %q", got, "true false 0")
	}
}

func BenchmarkSet(b *testing.B) {
	a := New(1<<40, nil).Open(Packets, nil)
	for i := 0; b.Loop(); i++ {
		a.Set(i)
	}
}
