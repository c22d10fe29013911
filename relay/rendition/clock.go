package rendition

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// lead is the time of the first packet on a child's clock. It leaves room for earlier packets that
	// follow.
	lead = 10 * time.Second
	// longest is the maximum time on a child's clock. ffmpeg writes 31-bit timestamps in FLV;
	// the stream's clock is not limited.
	longest = 1<<31*time.Millisecond - time.Hour
)

// errLong means that the child's timestamps are exhausted, so that another child must start with a
// new clock.
var errLong = fmt.Errorf("%w: timestamps of the child exhausted", errChanged)

// clock converts timestamps between the stream's clock and the child's clock. One goroutine may call
// to while another calls from.
type clock struct {
	base atomic.Pointer[time.Duration] // time on the stream's clock at which the child's clock is 0
}

// to converts a DTS to the child's clock, in milliseconds. ok is false if the DTS is more than lead
// before that of the first packet.
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

// from converts a timestamp of the child to the stream's clock. It returns 0 before the first call
// of to; but a child writes nothing before it has read something.
func (c *clock) from(ms uint32) time.Duration {
	base := c.base.Load()
	if base == nil {
		return 0
	}
	return *base + time.Duration(ms)*time.Millisecond
}
