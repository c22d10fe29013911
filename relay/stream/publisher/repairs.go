package publisher

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// ClockRepairs tells which corrections of timestamps have not been reported yet. A stream's clock
// only counts them, from the stream's first session on.
type ClockRepairs struct {
	corrected [packetbuf.NumTracks]uint64
	derived   uint64
}

// News returns the repairs in a track since the last call, nil if there are none: corrected is how
// many timestamps of the track the clock has corrected, derived how many decode times of video it
// has made.
func (r *ClockRepairs) News(tr packetbuf.Track, corrected, derived uint64) (news []packetbuf.Repair) {
	if corrected > r.corrected[tr] {
		news = append(news, packetbuf.Repair{Track: tr, Reason: packetbuf.Timestamp, Count: corrected - r.corrected[tr]})
		r.corrected[tr] = corrected
	}
	if tr == packetbuf.Video && derived > r.derived {
		news = append(news, packetbuf.Repair{Track: tr, Reason: packetbuf.DecodeOrder, Count: derived - r.derived})
		r.derived = derived
	}
	return news
}
