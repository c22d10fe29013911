//go:build !linux

package scaling

import "time"

// elapsed returns the time since an arbitrary start.
func elapsed() time.Duration { return time.Since(start) }
