package timeline

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Lag returns how far p, a media packet of the current session, is behind the stream's clock at its
// arrival. It is negative if p is ahead.
func (t *Timeline) Lag(p *packetbuf.Packet) time.Duration {
	return t.clock(p.Track, p.Arrived) - packetbuf.Nearest(p.DTS, t.lastRaw) - t.tracks[p.Track].offset
}

// Resume continues the current session after Break. It moves the session's clock by shift, which is 0 if
// the publisher's clock kept running.
func (t *Timeline) Resume(shift time.Duration) {
	t.offsetMoved = false
	t.setOffset(t.offset + shift)
}

// Put gives p, a media packet of the current session, the decode time dts and the presentation time pts
// on the stream's clock, whatever its own times are. If dts is not after the newest packet of the track,
// Put places p right after that packet. Put does not affect the clock.
func (t *Timeline) Put(p *packetbuf.Packet, dts, pts time.Duration) {
	tr := &t.tracks[p.Track]
	raw := packetbuf.Nearest(p.DTS, t.lastRaw)
	if p.Track == packetbuf.Video {
		raw, _ = t.reorder.decodeTime(raw, p.CTO)
	}
	dts = dts.Round(time.Millisecond)
	if tr.started {
		dts = max(dts, tr.last+time.Millisecond)
	}
	p.DTS, p.CTO = dts, max(0, pts.Round(time.Millisecond)-dts)
	t.lastRaw, t.lastArrived = raw, p.Arrived
	tr.raw, tr.naturalDTS, tr.suspect = raw, raw+tr.offset, suspect{}
	tr.started, tr.last, tr.arrived = true, dts, p.Arrived
}
