package pacing

import (
	"fmt"
	"testing"
	"time"
)

// An address that asks endlessly, whatever it claims, leaves joins for all others; alone it joins at
// the full rate.
func TestShares(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		const rate = 160
		var j Joins
		var s Shares
		j.SetRate(rate)
		s.SetRate(rate)
		ask := func(now time.Time, address string, resumes bool) Join {
			if s.Beyond(now, address) {
				return j.AskBeyond(now, resumes, 0.5)
			}
			return j.Ask(now, resumes, 0.5)
		}
		now, flooded, refused := time.Unix(1000, 0), 0, 0
		for ms := range 10_000 {
			now = now.Add(time.Millisecond)
			for range 5 {
				if ask(now, "192.0.2.66", resumes).OK {
					flooded++
				}
			}
			if ms%20 == 0 { // 50 other addresses in a second, each once
				if turn := ask(now, fmt.Sprintf("198.51.100.%d", ms), false); !turn.OK || turn.Wait > 200*time.Millisecond {
					refused++
				}
			}
		}
		if refused > 0 {
			t.Errorf("resuming flood %v: got %d of 500 others without a turn at once", resumes, refused)
		}
		if alone := float64(flooded) / 10; alone < 0.6*rate || alone > 1.3*rate {
			t.Errorf("resuming flood %v: got %.0f joins per second, want %d", resumes, alone, rate)
		}
		if n := len(s.known); n > maxShares {
			t.Errorf("got %d addresses remembered", n)
		}
	}
}

func TestSharesAreBounded(t *testing.T) {
	var s Shares
	s.SetRate(500)
	now := time.Unix(1000, 0)
	for i := range 3 * maxShares {
		s.Beyond(now, fmt.Sprint(i))
	}
	if n, m := len(s.known), s.order.Len(); n != maxShares || m != n {
		t.Errorf("got %d addresses, %d in order, want %d", n, m, maxShares)
	}
	if s.Beyond(now, "") {
		t.Error("empty address: got beyond its share, want within")
	}
}
