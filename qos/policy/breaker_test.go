package policy

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/qos"
)

func TestBreaker(t *testing.T) {
	b := NewBreaker(DefaultBreaker())
	now := epoch
	ask := func(want bool, wait time.Duration) {
		t.Helper()
		if ok, w := b.Ask(now); ok != want || w != wait {
			t.Fatalf("ask at %v: got %v, %v, want %v, %v", now.Sub(epoch), ok, w, want, wait)
		}
	}
	is := func(want BreakerState, inFlight int) {
		t.Helper()
		if s := b.Status(now); s.State != want || s.InFlight != inFlight {
			t.Fatalf("got %+v, want %v with %d in flight", s, want, inFlight)
		}
	}
	// There are never more concurrent dials than configured.
	for range 4 {
		ask(true, 0)
	}
	ask(false, 0)
	b.Done(now, qos.DialRejected) // a host that rejects is up
	for range 3 {
		b.Done(now, qos.DialFailed)
	}
	is(Closed, 0)
	// Two more failures open it. The dial in flight has to end first.
	for range 3 {
		ask(true, 0)
	}
	b.Done(now, qos.DialTimeout)
	b.Done(now, qos.DialFailed)
	is(Open, 1)
	ask(false, 0)
	b.Done(now, qos.DialFailed)
	ask(false, 5*time.Second)
	// It allows one trial in five seconds, one at a time.
	now = now.Add(5 * time.Second)
	ask(true, 0)
	ask(false, 0)
	b.Done(now, qos.DialFailed)
	now = now.Add(2 * time.Second)
	ask(false, 3*time.Second)
	now = now.Add(3 * time.Second)
	ask(true, 0)
	b.Done(now, "") // cancelled: the host's state is unknown
	is(Open, 0)
	now = now.Add(5 * time.Second)
	ask(true, 0)
	b.Done(now, qos.DialOK)
	is(HalfOpen, 0)
	// Half open it allows all dials, and one failure opens it again.
	for range 4 {
		ask(true, 0)
	}
	ask(false, 0)
	b.Done(now, qos.DialFailed)
	is(Open, 3)
	b.Done(now, qos.DialOK)
	b.Done(now, qos.DialDenied)
	is(Closed, 1)
	b.Done(now, qos.DialOK)
	for range 5 {
		ask(true, 0)
		b.Done(now, qos.DialFailed)
	}
	is(Open, 0)
	b.Reset(now)
	is(Closed, 0)
	ask(true, 0)
}

// TestBreakerInvariants checks that no dial is leaked, and that a dead host is tried no more often
// than configured.
func TestBreakerInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBreaker(DefaultBreaker())
		now, inFlight := epoch, 0
		var trials []time.Time
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			open := b.Status(now).State == Open
			if rapid.Bool().Draw(t, "ask") {
				ok, wait := b.Ask(now)
				if ok {
					inFlight++
					if open {
						trials = append(trials, now)
					}
				} else if wait == 0 && inFlight == 0 {
					t.Fatal("Ask waits for a Done, but no dial is in flight")
				}
			} else if inFlight > 0 {
				inFlight--
				b.Done(now, rapid.SampledFrom(append(qos.Outcomes(), "", qos.DialFailed, qos.DialFailed)).Draw(t, "outcome"))
			}
			if got := b.Status(now).InFlight; got != inFlight || got > 4 {
				t.Fatalf("got %d in flight, want %d", got, inFlight)
			}
		}
		for i := 1; i < len(trials); i++ {
			if trials[i].Sub(trials[i-1]) < 5*time.Second {
				t.Fatalf("got trials %v apart", trials[i].Sub(trials[i-1]))
			}
		}
	})
}

func TestBreakerValidate(t *testing.T) {
	for _, c := range []BreakerConfig{{}, {Fall: 1}, {Fall: 1, Rise: 1}, {Fall: 1, Rise: 1, Dials: 1}} {
		if c.Validate() == nil {
			t.Errorf("%+v: got no error", c)
		}
	}
	if err := DefaultBreaker().Validate(); err != nil {
		t.Error(err)
	}
}
