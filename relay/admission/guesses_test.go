package admission

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The first wrong keys of an address are answered at once, further ones with increasing delays.
// Another address, and another minute, begin anew.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := NewGuesses()
		wait := func(remote string) time.Duration {
			begun := time.Now()
			if err := tries.Wrong(t.Context(), remote); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		for i, want := range []time.Duration{0, 0, 0, minDelay, 2 * minDelay, 4 * minDelay, 8 * minDelay, maxDelay, maxDelay} {
			if got := wait("192.0.2.1:" + strconv.Itoa(i)); got != want {
				t.Errorf("wrong key %d: answered after %v, want %v", i, got, want)
			}
		}
		if got := wait("[::ffff:192.0.2.1]:5000"); got != maxDelay {
			t.Errorf("the same address in IPv6: answered after %v", got)
		}
		if got := wait("192.0.2.2:5000"); got != 0 {
			t.Errorf("another address: answered after %v", got)
		}
		time.Sleep(window)
		if got := wait("192.0.2.1:1"); got != 0 {
			t.Errorf("a window later: answered after %v", got)
		}
	})
}

// However many wrong keys arrive at once, few answers are delayed, and none for peers that have
// gone.
func TestDelayedAnswersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := NewGuesses()
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for i := range 100 {
			for range 100 {
				waiting.Go(func() { _ = tries.Wrong(ctx, fmt.Sprintf("192.0.2.%d:1", i)) })
			}
		}
		synctest.Wait()
		if tries.delayed != maxDelayed {
			t.Errorf("got %d delayed answers, want %d", tries.delayed, maxDelayed)
		}
		for network, e := range tries.byNetwork {
			if one := e.Value.(*tally); one.delayed > maxDelayedPerAddress { //nolint:forcetypeassert,errcheck // it is
				t.Errorf("%s: got %d delayed answers", network, one.delayed)
			}
		}
		begun := time.Now()
		cancel()
		waiting.Wait()
		if tries.delayed != 0 || time.Since(begun) > 0 {
			t.Errorf("got %d delayed answers after their peers have gone", tries.delayed)
		}
	})
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "pipe": "pipe", "": "",
	} {
		if got := Network(remote); got != want {
			t.Errorf("%q is %q, want %q", remote, got, want)
		}
	}
}

// However many addresses send wrong keys, the memory is bounded, and a recent address is not
// dropped for an older one.
func TestGuessesAreBounded(t *testing.T) {
	tries, now := NewGuesses(), time.Unix(1_000_000, 0)
	for i := range 3 * maxAddresses {
		now = now.Add(time.Millisecond)
		tries.count(now, fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff))
		if n := len(tries.byNetwork); n > maxAddresses {
			t.Fatalf("got %d addresses", n)
		}
	}
	for range freeGuesses {
		tries.count(now, "192.0.2.1")
	}
	for i := range maxAddresses / 2 {
		tries.count(now.Add(time.Duration(i)), fmt.Sprintf("2001:db8:ffff:%x::/64", i))
	}
	if delay, _ := tries.count(now, "192.0.2.1"); delay == 0 {
		t.Error("a recent address was dropped")
	}
	now = now.Add(2 * window)
	tries.count(now, "192.0.2.2")
	if n := len(tries.byNetwork); n != 1 {
		t.Errorf("got %d expired windows", n)
	}
}
