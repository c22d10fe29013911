package policy

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoff(t *testing.T) {
	b := DefaultBackoff()
	for _, c := range []struct {
		n      int
		chance float64
		want   time.Duration
	}{
		{0, 1, 500 * time.Millisecond},
		{0, 0, 250 * time.Millisecond},
		{-3, 1, 500 * time.Millisecond},
		{1, 1, time.Second},
		{3, 0.5, 3 * time.Second},
		{6, 1, 30 * time.Second},
		{6, 0, 15 * time.Second},
		{2000, 0.5, 22500 * time.Millisecond},
		{math.MaxInt, 0, 15 * time.Second},
		{0, math.NaN(), 250 * time.Millisecond},
	} {
		if got := b.Delay(c.n, c.chance); got != c.want {
			t.Errorf("Delay(%d, %v): got %v, want %v", c.n, c.chance, got, c.want)
		}
	}
}

func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Base:   time.Duration(rapid.Int64Range(1, math.MaxInt64/2).Draw(t, "base")),
			Factor: rapid.Float64Range(1, 1e300).Draw(t, "factor"),
			Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		b.Max = b.Base + time.Duration(rapid.Int64Range(0, math.MaxInt64/4).Draw(t, "more"))
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
		if d := b.Delay(rapid.Int().Draw(t, "n"), rapid.Float64().Draw(t, "chance")); d < 0 || float64(d) > float64(b.Max)*1.000001 {
			t.Fatalf("got %v, want at most %v", d, b.Max)
		}
	})
}

func TestBackoffValidate(t *testing.T) {
	for name, change := range map[string]func(*Backoff){
		"base":            func(b *Backoff) { b.Base = 0 },
		"max":             func(b *Backoff) { b.Max = time.Millisecond },
		"factor":          func(b *Backoff) { b.Factor = 0.5 },
		"factor, none":    func(b *Backoff) { b.Factor = math.NaN() },
		"factor, endless": func(b *Backoff) { b.Factor = math.Inf(1) },
		"jitter":          func(b *Backoff) { b.Jitter = 1.5 },
		"jitter, none":    func(b *Backoff) { b.Jitter = math.NaN() },
	} {
		b := DefaultBackoff()
		if err := b.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&b); b.Validate() == nil {
			t.Errorf("%s: got no error for %+v", name, b)
		}
	}
}
