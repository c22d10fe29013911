package auth

import (
	"fmt"
	"testing"
	"time"
)

func TestTries(t *testing.T) {
	tries, now := NewTries(), time.Unix(1_000_000, 0)
	const from = "192.0.2.1:5000"
	for i := range most {
		if wait := tries.Blocked(now, from); wait != 0 {
			t.Fatalf("blocked for %v after %d", wait, i)
		}
		tries.Failed(now.Add(time.Duration(i)*time.Second), from)
	}
	last := now.Add(most * time.Second)
	for _, tt := range []struct {
		after time.Duration
		from  string
		wait  time.Duration
	}{
		{0, from, window - most*time.Second},
		{0, "192.0.2.1:6000", window - most*time.Second},
		{0, "192.0.2.1", window - most*time.Second},
		{0, "[::ffff:192.0.2.1]:5000", window - most*time.Second},
		{0, "192.0.2.2:5000", 0},
		{window - most*time.Second - 1, from, 1},
		{window - most*time.Second, from, 0},
	} {
		if wait := tries.Blocked(last.Add(tt.after), tt.from); wait != tt.wait {
			t.Errorf("%s after %v: %v", tt.from, tt.after, wait)
		}
	}
	tries.Failed(now.Add(window), from) // the first of the next window
	if wait := tries.Blocked(now.Add(window), from); wait != 0 {
		t.Errorf("a window later: %v", wait)
	}
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "2001:db8:1:2::1": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "pipe": "pipe", "": "",
	} {
		if got := network(remote); got != want {
			t.Errorf("%q is %q instead of %q", remote, got, want)
		}
	}
}

// However many addresses try, the memory is bounded, and who tries most recently is not
// forgotten for who came first.
func TestTriesAreBounded(t *testing.T) {
	tries, now := NewTries(), time.Unix(1_000_000, 0)
	for i := range 3 * addresses {
		now = now.Add(time.Millisecond)
		tries.Failed(now, fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff))
		if n := len(tries.from); n > addresses {
			t.Fatalf("%d addresses", n)
		}
	}
	for range most {
		tries.Failed(now, "192.0.2.1:1")
	}
	for i := range addresses / 2 {
		tries.Failed(now.Add(time.Duration(i)), fmt.Sprintf("[2001:db8:ffff:%x::1]:1", i))
	}
	if tries.Blocked(now, "192.0.2.1:1") == 0 {
		t.Error("a newer address was given up")
	}
	now = now.Add(2 * window)
	tries.Failed(now, "192.0.2.2:1")
	if n := len(tries.from); n != 1 {
		t.Errorf("%d windows are kept that are over", n)
	}
}
