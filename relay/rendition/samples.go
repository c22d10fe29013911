package rendition

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// sampleRate is the rate by which a bridge counts, and at which its sound comes out, Hz.
const sampleRate = codec.OpusRate

// mostAnchors bounds what a clock remembers of a program that makes nothing of what it is given.
const mostAnchors = 4096

// sampleClock tells where sound stands that a program made, from where that stood which it was
// given: neither ADTS nor Ogg has a word for that. Samples are counted from the beginning on
// both sides, at sampleRate. One goroutine writes to the program, another reads from it.
type sampleClock struct {
	mu      sync.Mutex // guards what follows
	anchors []anchor   // by rising index; the first is in use, or about to be
}

// anchor says that the sample of that index stands at dts on the stream's clock, and those
// behind it as far as they follow without a gap.
type anchor struct {
	index int64
	dts   time.Duration
}

func (a anchor) at(index int64) time.Duration { return a.dts + length(index-a.index) }

// length is how long n samples last.
func length(n int64) time.Duration {
	whole := time.Duration(n/sampleRate) * time.Second
	return whole + time.Duration(n%sampleRate)*time.Second/sampleRate
}

// put says that the sample of that index stands at dts. Timestamps are uneven: what is off by
// no more than slack goes on without a gap.
func (c *sampleClock) put(index int64, dts, slack time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.anchors); n > 0 {
		if off := dts - c.anchors[n-1].at(index); off >= -slack && off <= slack {
			return
		}
		if n >= mostAnchors {
			c.anchors = c.anchors[1:]
		}
	}
	c.anchors = append(c.anchors, anchor{index, dts})
}

// at is where the sample of that index stands. It is asked for by rising index.
func (c *sampleClock) at(index int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.anchors) == 0 {
		return 0 // a program has nothing to say before it is told something
	}
	for len(c.anchors) > 1 && c.anchors[1].index <= index {
		c.anchors = c.anchors[1:]
	}
	return c.anchors[0].at(index)
}
