// Package delay waits.
package delay

import (
	"context"
	"time"
)

// Sleep waits for d, or until ctx is done. Its error is ctx's; nil: all of d has passed.
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
