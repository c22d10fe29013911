package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// pace is how evenly a publisher's packets come, and how far apart its keyframes are.
type pace struct {
	tracks [packetbuf.NumTracks]struct {
		arrived time.Time
		dts     time.Duration
		jitter  time.Duration
	}
	keyed time.Duration // DTS of the newest keyframe
	keys  int           // keyframes since the last hole
	every time.Duration // between the newest two
}

// hole is a distance between a track's timestamps that is no rhythm: what was between them is
// missing, or they began anew.
const hole = 2 * time.Second

// note takes a media packet. Jitter is smoothed as RFC 3550, section 6.4.1, does it: the
// difference between two packets' spacing on arrival and in their timestamps, a sixteenth of
// each new one.
func (m *pace) note(now time.Time, p *packetbuf.Packet) {
	t := &m.tracks[p.Track]
	spacing := p.DTS - t.dts
	whole := !t.arrived.IsZero() && spacing >= 0 && spacing <= hole
	if whole {
		t.jitter += ((now.Sub(t.arrived) - spacing).Abs() - t.jitter) / 16
	}
	t.arrived, t.dts = now, p.DTS
	if p.Track != packetbuf.Video {
		return
	}
	if !whole {
		m.keys = 0
	}
	if p.Kind != packetbuf.Key {
		return
	}
	if m.keys > 0 {
		m.every = p.DTS - m.keyed
	}
	m.keyed = p.DTS
	m.keys++
}

// jitter is that of pictures, or of sound where there are none.
func (m *pace) jitter() time.Duration {
	if v := &m.tracks[packetbuf.Video]; !v.arrived.IsZero() {
		return v.jitter
	}
	return m.tracks[packetbuf.Audio].jitter
}
