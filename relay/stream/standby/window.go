package standby

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// windowKeeps is how far back a window keeps GOPs before its newest one. These are frames that
	// viewers may not have received from a publisher by the time that it counts as silent.
	windowKeeps = 5 * time.Second
	// quietMost is how long a standby may have sent nothing and still be able to take over at once. A
	// longer step in its timestamps is a gap.
	quietMost = time.Second
)

// Window holds media from a random-access point on. The zero value is empty.
type Window struct {
	packets []*packetbuf.Packet
	bytes   int // size of packets, packetbuf.Overhead included
	scanned int // the number of packets already searched for a second GOP
	key     int // index of the newest random-access point, if the window is not empty
	reset   int // 1 + index of the newest one at which a decoder is reset; 0: none
}

// Add adds p, and drops whole GOPs, oldest first, to stay within limits. starts reports whether a
// decoder can start at p, resets whether it then discards all earlier frames. Add ignores p if the
// window is empty and p is not a random-access point.
func (w *Window) Add(p *packetbuf.Packet, starts, resets bool, limits packetbuf.Limits) {
	if len(w.packets) == 0 && !starts {
		return
	}
	if p.Kind == packetbuf.Key {
		w.key = len(w.packets)
	}
	w.packets = append(w.packets, p)
	w.bytes += len(p.Payload) + packetbuf.Overhead
	w.trim(p.Arrived, limits)
	if resets {
		w.reset = len(w.packets)
	}
}

func (w *Window) trim(now time.Time, limits packetbuf.Limits) {
	for {
		next := w.second()
		over := w.bytes > limits.Bytes || now.Sub(w.packets[0].Arrived) > limits.Duration
		switch {
		case next < 0 && over:
			w.Clear()
			return
		case next < 0 || !over && now.Sub(w.packets[next].Arrived) < windowKeeps:
			return
		}
		for _, old := range w.packets[:next] {
			w.bytes -= len(old.Payload) + packetbuf.Overhead
		}
		clear(w.packets[:next])
		w.packets, w.scanned, w.key, w.reset = w.packets[next:], 0, w.key-next, max(0, w.reset-next)
	}
}

// second returns the index at which the second GOP starts, or -1 if there is only one. It examines
// each packet once, since an endless GOP may have many.
func (w *Window) second() int {
	for w.scanned = max(1, w.scanned); w.scanned < len(w.packets); w.scanned++ {
		if w.packets[w.scanned].Kind == packetbuf.Key {
			return w.scanned
		}
	}
	return -1
}

// CutAtHole clears the window if packets are missing between it and p. A switchover that starts
// before the gap would play across it.
func (w *Window) CutAtHole(p *packetbuf.Packet) {
	if n := len(w.packets); n > 0 && (p.DTS-w.packets[n-1].DTS).Abs() > quietMost {
		w.Clear()
	}
}

// Start returns the index at which the newest GOP starts. If the stream is frozen, it returns the
// index of the newest packet at which a decoder discards the generated frames. It returns -1 if
// there is none.
func (w *Window) Start(frozen bool) int {
	switch {
	case len(w.packets) == 0:
		return -1
	case frozen:
		return w.reset - 1
	}
	return w.key
}

// Ready reports whether the session whose newest media the window holds can take over at once. quiet
// is the time since its last media.
func (w *Window) Ready(quiet time.Duration, frozen bool) bool {
	return quiet < quietMost && w.Start(frozen) >= 0
}

// KeyframeAge returns the time since the newest keyframe arrived, or 0 if the window is empty.
func (w *Window) KeyframeAge(now time.Time) time.Duration {
	if len(w.packets) == 0 {
		return 0
	}
	return now.Sub(w.packets[w.key].Arrived)
}

// Bytes returns the size of the window's packets, packetbuf.Overhead included.
func (w *Window) Bytes() int { return w.bytes }

// Clear empties the window.
func (w *Window) Clear() { *w = Window{} }
