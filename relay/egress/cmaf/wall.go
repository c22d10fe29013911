package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// wallClock maps the stream's clock to the time of day. The first packet sets the mapping. After
// that, the mapping is adjusted slowly if the publisher's clock runs at a different rate, because
// players use it to measure latency.
type wallClock struct{ zero time.Time }

// maxAdjust is the maximum adjustment per chunk.
const maxAdjust = 200 * time.Microsecond

func (w *wallClock) observe(p *packetbuf.Packet) {
	zero := p.Arrived.Add(-p.DTS)
	switch off := zero.Sub(w.zero); {
	case w.zero.IsZero() || off > 10*time.Second || off < -10*time.Second:
		w.zero = zero
	default:
		w.zero = w.zero.Add(min(max(off, -maxAdjust), maxAdjust))
	}
}

func (w *wallClock) timeOf(d time.Duration) time.Time { return w.zero.Add(d) }
