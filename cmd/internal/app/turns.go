package app

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/auth"
)

// turns has viewers wait for their turn to join, or sends them away.
type turns struct {
	waits  func(time.Duration) // told of each turn how long it is waited for; may be nil
	mu     sync.Mutex          // guards what follows
	joins  policy.Joins
	shares policy.Shares
}

// setRate sets how many may join in a second; 0: no limit.
func (t *turns) setRate(rate int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joins.SetRate(rate)
	t.shares.SetRate(rate)
}

// ask gives a viewer's join from an address its turn.
func (t *turns) ask(now time.Time, remote string, resumes bool, chance float64) policy.Join {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shares.Beyond(now, auth.Network(remote)) {
		return t.joins.AskBeyond(now, resumes, chance)
	}
	return t.joins.Ask(now, resumes, chance)
}

// wait waits for the turn of a viewer. Its refusal tells when to come again.
func (t *turns) wait(ctx context.Context, remote string, resumes bool) error {
	chance := rand.Float64() //nolint:gosec // it spreads, and keeps nothing secret
	turn := t.ask(time.Now(), remote, resumes, chance)
	if !turn.OK {
		return &ingest.Refusal{
			Outcome: ingest.RefusedLimit, Reason: "too many viewers join at once", Hint: "wait as long as Retry-After says, and ask again",
			RetryAfter: turn.Wait,
		}
	}
	if t.waits != nil {
		t.waits(turn.Wait)
	}
	if turn.Wait <= 0 {
		return nil
	}
	due := time.NewTimer(turn.Wait)
	defer due.Stop()
	select {
	case <-due.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
