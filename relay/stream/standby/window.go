package standby

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// windowKeeps is how far back the GOPs start that a window holds beside its newest: what viewers
	// have not had of a publisher by the time that it counts as silent.
	windowKeeps = 5 * time.Second
	// quietMost is how long a standby may be quiet and still take over at once. A longer step in its
	// timestamps is a hole.
	quietMost = time.Second
)

// Window holds media from a random-access point on. The zero value is empty.
type Window struct {
	packets []*packetbuf.Packet
	bytes   int // of payload, and packetbuf.Overhead for each packet
	scanned int // among how many packets there is no second GOP
	key     int // index of the newest random-access point; meaningless where there is none
	reset   int // behind the newest one at which a decoder forgets all before; 0: there is none
}

// Add adds p, and gives up whole GOPs from the oldest to stay within limits. starts tells that a
// decoder can start at p, resets that it then forgets all that it has had. Without a random-access
// point before it p is not kept.
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

// second returns the index at which the second GOP starts; -1 if there is only one. It looks at each
// packet once: an endless GOP may have many.
func (w *Window) second() int {
	for w.scanned = max(1, w.scanned); w.scanned < len(w.packets); w.scanned++ {
		if w.packets[w.scanned].Kind == packetbuf.Key {
			return w.scanned
		}
	}
	return -1
}

// CutAtHole clears the window if packets are missing between it and p: a takeover from before the
// hole would lead through it.
func (w *Window) CutAtHole(p *packetbuf.Packet) {
	if n := len(w.packets); n > 0 && (p.DTS-w.packets[n-1].DTS).Abs() > quietMost {
		w.Clear()
	}
}

// Start returns the index at which the newest GOP starts, or where the stream is frozen that at
// which a decoder forgets the made frames; -1 if there is none.
func (w *Window) Start(frozen bool) int {
	switch {
	case len(w.packets) == 0:
		return -1
	case frozen:
		return w.reset - 1
	}
	return w.key
}

// Ready reports whether a session that has been quiet for some time, and of which the window holds
// the newest media, can take over at once.
func (w *Window) Ready(quiet time.Duration, frozen bool) bool {
	return quiet < quietMost && w.Start(frozen) >= 0
}

// KeyframeAge returns how long ago the newest keyframe came; 0 where the window is empty.
func (w *Window) KeyframeAge(now time.Time) time.Duration {
	if len(w.packets) == 0 {
		return 0
	}
	return now.Sub(w.packets[w.key].Arrived)
}

// Bytes returns what the window holds, packetbuf.Overhead included.
func (w *Window) Bytes() int { return w.bytes }

// Clear empties the window.
func (w *Window) Clear() { *w = Window{} }
