// Package delay waits for a duration or the end of a context.
package delay

import (
	"context"
	"time"
)

// Sleep waits for d, or until ctx is done. It returns the error of ctx, or nil if all of d has
// passed.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
