package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

func TestHostsAreEvicted(t *testing.T) {
	h := NewHosts(policy.DefaultBreaker())
	for i := range 3 * maxHosts {
		name := fmt.Sprintf("host%d:1935", i)
		if err := h.Enter(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		h.Leave(name, "")
	}
	if n := len(h.Status(time.Now())); n > maxHosts {
		t.Errorf("got %d hosts, want at most %d", n, maxHosts)
	}
	h.Close()
}

// TestDialsWaitInOrder checks that dials of a host whose breaker is open wait in order of arrival. A
// canceled dial passes its turn to the next.
func TestDialsWaitInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := policy.DefaultBreaker()
		h := NewHosts(cfg)
		defer h.Close()
		for range cfg.Fall { // the breaker opens
			if err := h.Enter(t.Context(), "a:1"); err != nil {
				t.Fatal(err)
			}
			h.Leave("a:1", qos.DialFailed)
		}
		order := make(chan int, 3)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { order <- -1; _ = h.Enter(ctx, "a:1") }()
		synctest.Wait()
		<-order
		for i := range 2 {
			go func() {
				if err := h.Enter(t.Context(), "a:1"); err == nil {
					order <- i
					h.Leave("a:1", qos.DialOK)
				}
			}()
			synctest.Wait()
		}
		if n := h.Status(time.Now())[0].Waiting; n != 3 {
			t.Errorf("got %d waiting dials, want 3", n)
		}
		cancel()
		if first, second := <-order, <-order; first != 0 || second != 1 {
			t.Errorf("got dial %d before %d, want order of arrival", first, second)
		}
		if err := h.Enter(ctx, "a:1"); !errors.Is(err, context.Canceled) && err != nil {
			t.Errorf("got %v, want the error of ctx or nil", err)
		}
	})
}

// TestSelfPush checks that the local address of a push is known while it is being dialed, and only then.
func TestSelfPush(t *testing.T) {
	s := NewSelfPush()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	through, forget := s.Through(func(context.Context, string, string) (net.Conn, error) { return near, nil }, "live/cam")
	if _, err := through(t.Context(), "tcp", "b:1"); err != nil {
		t.Fatal(err)
	}
	if got := s.Stream(near.LocalAddr().String()); got != "live/cam" {
		t.Errorf("got %q while dialing, want live/cam", got)
	}
	if forget(); s.Stream(near.LocalAddr().String()) != "" || s.Len() != 0 {
		t.Error("got the address still known after the dial, want it forgotten")
	}
}
