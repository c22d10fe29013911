package push

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// holdBack is how old pictures get that wait for a keyframe of another source: it may be
	// behind by as much, less switchRetry. Players have a second in their buffers.
	holdBack = time.Second
	// Of each waitAgain pictures wait for waitFor: a keyframe comes within that, or there is
	// little hope for one.
	waitFor   = 12 * time.Second
	waitAgain = time.Minute
)

// holdback holds pictures back while another source is to be switched to whose keyframes do not
// come before the pictures of the source so far that they are to replace. Without it two
// sources that are equally quick would never change over. The sound does not wait. The zero
// value does not hold.
type holdback struct {
	offer   string
	since   time.Time
	waiting bool
	held    []*packetbuf.Packet
}

// begin has pictures wait for an offer; it may be called again for the same one.
func (w *holdback) begin(now time.Time, offer string) {
	if w.since.IsZero() || w.offer != offer {
		w.offer, w.since = offer, now
	}
	w.waiting = now.Sub(w.since)%waitAgain < waitFor
}

// end lets the pictures go.
func (w *holdback) end() { w.waiting = false }

// withdraw lets them go, and begins anew with whatever is waited for next.
func (w *holdback) withdraw() { w.waiting, w.since = false, time.Time{} }

// pass takes the packets of a reading and returns those that go on now, in order.
func (w *holdback) pass(now time.Time, packets []*packetbuf.Packet) []*packetbuf.Packet {
	if !w.waiting && len(w.held) == 0 {
		return packets
	}
	var out []*packetbuf.Packet
	due := 0
	for due < len(w.held) && (!w.waiting || now.Sub(w.held[due].Arrived) >= holdBack) {
		// It is no fault of the line that it waited.
		out = append(out, moved(w.held[due], w.held[due].DTS, now))
		due++
	}
	w.held = append(w.held[:0:0], w.held[due:]...)
	for _, p := range packets {
		if w.waiting && p.Track == packetbuf.Video && (len(w.held) > 0 || now.Sub(p.Arrived) < holdBack) {
			w.held = append(w.held, p)
			continue
		}
		out = append(out, p)
	}
	return out
}
