package timeline

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Lag returns how far p, a media packet of the session in force, is behind the stream's clock;
// negative if it is ahead.
func (t *Timeline) Lag(p *packetbuf.Packet) time.Duration {
	return t.clock(p.Track, p.Arrived) - packetbuf.Nearest(p.DTS, t.raw) - t.tracks[p.Track].offset
}

// Resume goes on with the session in force after Break, its clock moved by shift; 0 where it
// ran on.
func (t *Timeline) Resume(shift time.Duration) {
	t.moved = false
	t.setOffset(t.offset + shift)
}

// Put has p, a media packet of the session in force, stand at dts and be shown at pts, both on
// the stream's clock, whatever its own time is. A dts that is not behind the newest of its
// track is taken to be right behind it. The clock takes nothing from it.
func (t *Timeline) Put(p *packetbuf.Packet, dts, pts time.Duration) {
	tr := &t.tracks[p.Track]
	raw := packetbuf.Nearest(p.DTS, t.raw)
	if p.Track == packetbuf.Video {
		raw, _ = t.reorder.decodeTime(raw, p.CTO)
	}
	dts = dts.Round(time.Millisecond)
	if tr.begun {
		dts = max(dts, tr.last+time.Millisecond)
	}
	p.DTS, p.CTO = dts, max(0, pts.Round(time.Millisecond)-dts)
	t.raw, t.seen = raw, p.Arrived
	tr.raw, tr.natural, tr.doubt = raw, raw+tr.offset, doubt{}
	tr.begun, tr.last, tr.arrived = true, dts, p.Arrived
}
