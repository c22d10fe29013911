package publisher

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// ClockRepairs tracks which timestamp corrections have been reported. A stream's clock itself only
// keeps totals since the stream's first session.
type ClockRepairs struct {
	corrected [packetbuf.NumTracks]uint64
	derived   uint64
}

// News returns the repairs in a track since the last call, or nil if there were none. corrected is
// the clock's total of corrected timestamps of the track, derived its total of generated video
// decode times.
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
