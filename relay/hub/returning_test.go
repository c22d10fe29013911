package hub

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A stream is expected until its deadline or until it is back. Its old URLs are known until the
// deadline in any case.
func TestReturning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Returning
		now := time.Now()
		r.Wait(t.Context(), "live/a") // returns at once, since no stream is expected
		if r.Left(now, "live/a") != 0 || r.Restarted(now, "live/a") {
			t.Error("got an expected stream before Expect")
		}
		r.Expect(map[string]time.Time{"live/a": now.Add(30 * time.Second), "live/b": now.Add(10 * time.Second)})
		if got := r.Left(now, "live/a"); got != 30*time.Second {
			t.Errorf("left %v, want 30s", got)
		}
		waited := map[string]chan time.Duration{"live/a": make(chan time.Duration, 1), "live/b": make(chan time.Duration, 1)}
		for name, done := range waited {
			go func() {
				r.Wait(t.Context(), name)
				done <- time.Since(now)
			}()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.Wait(ctx, "live/a")
		if took := time.Since(now); took != time.Second {
			t.Errorf("waited %v, want 1s", took)
		}
		time.Sleep(4 * time.Second)
		r.Back("live/a")
		r.Back("live/a")
		r.Back("live/c")
		if took := <-waited["live/a"]; took != 5*time.Second {
			t.Errorf("got return after %v, want 5s", took)
		}
		if r.Left(time.Now(), "live/a") != 0 || !r.Restarted(time.Now(), "live/a") {
			t.Error("stream that is back is still expected, or its URLs are forgotten")
		}
		if got := r.Deadlines(); len(got) != 1 || !got["live/b"].Equal(now.Add(10*time.Second)) {
			t.Errorf("deadlines %v", got)
		}
		lost, next := r.Expire(time.Now())
		if len(lost) > 0 || !next.Equal(now.Add(10*time.Second)) {
			t.Errorf("lost %v, next %v", lost, next)
		}
		time.Sleep(time.Until(next))
		if lost, next = r.Expire(time.Now()); !slices.Equal(lost, []string{"live/b"}) || !next.Equal(now.Add(30*time.Second)) {
			t.Errorf("lost %v, next %v", lost, next)
		}
		if took := <-waited["live/b"]; took != 10*time.Second {
			t.Errorf("got expiry after %v, want 10s", took)
		}
		time.Sleep(time.Until(next))
		if lost, next = r.Expire(time.Now()); len(lost) > 0 || !next.IsZero() || r.Restarted(time.Now(), "live/a") {
			t.Errorf("lost %v, next %v after all deadlines", lost, next)
		}
	})
}

// A viewer that stops waiting, or whose server closes, gets the error of its context.
func TestAttachEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newWith(waiting{wait: time.Minute}, 0)
		defer h.Close("the test is over")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.Attach(ctx, "live", "cam", "hls")
		if err == nil || isNotLive(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want an error of the context", err)
		}
	})
}
