package filler

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// maxBridge bounds the frames that Bridge returns.
const maxBridge = 8

// Bridge returns generated freeze frames for the gap in the video between the last frame of a
// session and the first frame of the next one, if the next session starts without a hold. That first
// frame has DTS at and PTS shown. Bridge returns nil if no frame can be generated, or if the
// presentation times are no more than two frames apart.
//
// A session that ends in the middle of its reordered frames leaves a gap in the presentation times
// even if the decode times have none. Media Source ends a buffered range at a gap of more than two
// frames, and players that do not jump over it stop there.
func Bridge(h Held, at, shown time.Duration) []*packetbuf.Packet {
	v := newFreezeFrame(h, h.LastVideo)
	if v.freezer == nil {
		return nil
	}
	last := h.LastVideo + v.cto
	hole := shown - last
	if hole <= 2*v.step-time.Millisecond {
		return nil
	}
	n := min(int((hole+v.step/2)/v.step)-1, maxBridge, int((at-h.LastVideo)/time.Millisecond)-1)
	var out []*packetbuf.Packet
	for i := 1; i <= n; i++ {
		part := func(of time.Duration) time.Duration {
			return (of * time.Duration(i) / time.Duration(n+1)).Truncate(time.Millisecond)
		}
		p := v.frame(h.LastVideo+part(at-h.LastVideo), v.freezer.Next(), packetbuf.Delta)
		p.CTO, p.Flags = max(0, last+part(hole)-p.DTS), packetbuf.Filler
		out = append(out, p)
	}
	return out
}
