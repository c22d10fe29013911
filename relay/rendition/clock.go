package rendition

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// lead is where a child's clock stands at its first packet: others may be before it.
	lead = 10 * time.Second
	// longest is how far a child's clock goes. ffmpeg writes FLV's timestamps with 31 bits;
	// the stream's clock has no such end.
	longest = 1<<31*time.Millisecond - time.Hour
)

// errLong: another child has to begin anew.
var errLong = fmt.Errorf("%w: the child's clock is at its end", errChanged)

// clock moves timestamps between the stream's clock and the child's. One goroutine writes to
// the child, another reads from it.
type clock struct {
	base atomic.Pointer[time.Duration] // the stream's clock where the child's is 0
}

// to is where a packet stands on the child's clock, in milliseconds. ok is false for one that
// is too far before the first.
func (c *clock) to(dts time.Duration) (ms uint32, ok bool, err error) {
	base := c.base.Load()
	if base == nil {
		b := dts - lead
		base = &b
		c.base.Store(base)
	}
	at := dts - *base
	if at > longest {
		return 0, false, errLong
	}
	return uint32(max(at, 0) / time.Millisecond), at >= 0, nil //nolint:gosec // 31 bits
}

// from is where a packet of the child stands on the stream's clock. A child has nothing to say
// before it has been told something: then it is 0.
func (c *clock) from(ms uint32) time.Duration {
	base := c.base.Load()
	if base == nil {
		return 0
	}
	return *base + time.Duration(ms)*time.Millisecond
}
