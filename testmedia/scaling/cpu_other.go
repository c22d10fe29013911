//go:build !linux

package scaling

import "time"

// elapsed returns a time that only differences mean anything of.
func elapsed() time.Duration { return time.Since(start) }
