package rendition

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// sampleRate is the rate, in Hz, at which a bridge counts samples, and the rate of its output.
const sampleRate = codec.OpusRate

// maxAnchors bounds the memory used if ffmpeg reads input but writes no output.
const maxAnchors = 4096

// sampleClock maps ffmpeg's output samples to the timestamps of its input, because neither ADTS nor
// Ogg carries these. Samples are counted from the start on both sides, at sampleRate. One goroutine
// may call setTime while another calls timeOf.
type sampleClock struct {
	mu      sync.Mutex // guards anchors
	anchors []anchor   // by increasing index; the first is or will be used next
}

// anchor maps a sample index to a DTS on the stream's clock. The DTS of later samples follows from
// it, up to the next gap.
type anchor struct {
	index int64
	dts   time.Duration
}

func (a anchor) timeOf(index int64) time.Duration { return a.dts + length(index-a.index) }

// length returns the duration of n samples.
func length(n int64) time.Duration {
	whole := time.Duration(n/sampleRate) * time.Second
	return whole + time.Duration(n%sampleRate)*time.Second/sampleRate
}

// setTime sets the DTS of a sample. As timestamps are uneven, a deviation of at most slack does not
// count as a gap.
func (c *sampleClock) setTime(index int64, dts, slack time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.anchors); n > 0 {
		if off := dts - c.anchors[n-1].timeOf(index); off >= -slack && off <= slack {
			return
		}
		if n >= maxAnchors {
			c.anchors = c.anchors[1:]
		}
	}
	c.anchors = append(c.anchors, anchor{index, dts})
}

// timeOf returns the DTS of a sample. Successive calls must use increasing indexes.
func (c *sampleClock) timeOf(index int64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.anchors) == 0 {
		return 0 // ffmpeg writes nothing before it has read something
	}
	for len(c.anchors) > 1 && c.anchors[1].index <= index {
		c.anchors = c.anchors[1:]
	}
	return c.anchors[0].timeOf(index)
}
