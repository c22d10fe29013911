package push

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// maxHold is how long video is held back. Another source may be behind by as much, minus
	// switchInterval. Players buffer about a second.
	maxHold = time.Second

	// In each holdPeriod, video is held for holdDuration. If no keyframe arrives within that time, none
	// is likely to arrive soon.
	holdDuration = 12 * time.Second
	holdPeriod   = time.Minute
)

// holdback holds video back before a switch to another source whose keyframes arrive later than the frames
// of the current source that they replace. Without it, a sender could never switch between two sources of
// equal delay. Audio is not held. The zero value holds nothing.
type holdback struct {
	offer   string
	since   time.Time
	waiting bool
	held    []*packetbuf.Packet
}

// hold holds video until the sender can switch to offer. It may be called again for the same offer.
func (w *holdback) hold(now time.Time, offer string) {
	if w.since.IsZero() || w.offer != offer {
		w.offer, w.since = offer, now
	}
	w.waiting = now.Sub(w.since)%holdPeriod < holdDuration
}

// release stops holding video.
func (w *holdback) release() { w.waiting = false }

// reset stops holding video and restarts holdPeriod.
func (w *holdback) reset() { w.waiting, w.since = false, time.Time{} }

// filter handles the packets of one read and returns those to send now, in order.
func (w *holdback) filter(now time.Time, packets []*packetbuf.Packet) []*packetbuf.Packet {
	if !w.waiting && len(w.held) == 0 {
		return packets
	}
	var out []*packetbuf.Packet
	due := 0
	for due < len(w.held) && (!w.waiting || now.Sub(w.held[due].Arrived) >= maxHold) {
		// Reset the arrival time: the line did not cause this delay.
		out = append(out, retimed(w.held[due], w.held[due].DTS, now))
		due++
	}
	w.held = append(w.held[:0:0], w.held[due:]...)
	for _, p := range packets {
		if w.waiting && p.Track == packetbuf.Video && (len(w.held) > 0 || now.Sub(p.Arrived) < maxHold) {
			w.held = append(w.held, p)
			continue
		}
		out = append(out, p)
	}
	return out
}
