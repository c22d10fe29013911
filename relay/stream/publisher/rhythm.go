package publisher

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// rhythm measures how evenly a publisher's packets arrive, and its keyframe interval.
type rhythm struct {
	tracks [packetbuf.NumTracks]struct {
		arrived time.Time
		dts     time.Duration
		jitter  time.Duration
	}
	keyframe  time.Duration // DTS of the newest keyframe
	keyframes int           // number of keyframes since the last gap in the timestamps
	interval  time.Duration // between the newest two keyframes
}

// hole is the longest step between a track's timestamps that counts as regular. After a longer step,
// packets are missing or the timestamps were reset.
const hole = 2 * time.Second

// note records a media packet that arrived at time now. Jitter is smoothed as in RFC 3550, section
// 6.4.1: each new difference between the spacing of two packets on arrival and in their timestamps
// counts a sixteenth.
func (m *rhythm) note(now time.Time, p *packetbuf.Packet) {
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
		m.keyframes = 0
	}
	if p.Kind != packetbuf.Key {
		return
	}
	if m.keyframes > 0 {
		m.interval = p.DTS - m.keyframe
	}
	m.keyframe = p.DTS
	m.keyframes++
}

// jitter returns the arrival jitter of video, or of audio if there is no video.
func (m *rhythm) jitter() time.Duration {
	if v := &m.tracks[packetbuf.Video]; !v.arrived.IsZero() {
		return v.jitter
	}
	return m.tracks[packetbuf.Audio].jitter
}
