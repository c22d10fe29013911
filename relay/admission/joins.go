package admission

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/pacing"
	"github.com/holdfast-live/holdfast/relay/delay"
)

// joinLimiter limits the rate at which viewers join. Each viewer waits for its turn, or is
// refused.
type joinLimiter struct {
	waited func(time.Duration) // called with the wait of each admitted viewer; may be nil
	mu     sync.Mutex          // guards the fields below
	joins  pacing.Joins
	shares pacing.Shares
}

// setRate sets how many viewers may join per second; 0 means no limit.
func (l *joinLimiter) setRate(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.joins.SetRate(rate)
	l.shares.SetRate(rate)
}

// turn returns the turn of a viewer from the address remote.
func (l *joinLimiter) turn(now time.Time, remote string, resumes bool, chance float64) pacing.Join {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shares.Beyond(now, Network(remote)) {
		return l.joins.AskBeyond(now, resumes, chance)
	}
	return l.joins.Ask(now, resumes, chance)
}

// wait waits for the turn of a viewer. The error is that of ctx, or a refusal that says when to
// retry.
func (l *joinLimiter) wait(ctx context.Context, remote string, resumes bool) error {
	chance := rand.Float64() //nolint:gosec // jitter, not a secret
	turn := l.turn(time.Now(), remote, resumes, chance)
	if !turn.OK {
		return &ingest.Refusal{
			Outcome: ingest.RefusedLimit, Reason: "too many viewers join at once", Hint: "retry after the time in Retry-After",
			RetryAfter: turn.Wait,
		}
	}
	if l.waited != nil {
		l.waited(turn.Wait)
	}
	if turn.Wait <= 0 {
		return nil
	}
	return delay.Sleep(ctx, turn.Wait)
}
