package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// wall is the time of day on the stream's clock. It is set by the first packet and follows,
// slowly, a publisher whose clock runs otherwise than ours: players measure by it.
type wall struct{ zero time.Time }

// follow is how far it follows at a time.
const follow = 200 * time.Microsecond

func (w *wall) see(p *packetbuf.Packet) {
	zero := p.Arrived.Add(-p.DTS)
	switch off := zero.Sub(w.zero); {
	case w.zero.IsZero() || off > 10*time.Second || off < -10*time.Second:
		w.zero = zero
	default:
		w.zero = w.zero.Add(min(max(off, -follow), follow))
	}
}

func (w *wall) at(d time.Duration) time.Time { return w.zero.Add(d) }
