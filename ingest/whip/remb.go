package whip

import (
	"time"

	"github.com/pion/rtcp"
)

// minCeiling is the lowest ceiling, in bits per second, at which browsers still send usable video.
// noCeiling is sent to lift a ceiling.
const (
	minCeiling = 64_000
	noCeiling  = 100_000_000
)

// Limits implements ingest.Limiter.
func (s *session) Limits() bool { return true }

// Limit implements ingest.Limiter with REMB (draft-alvestrand-rmcat-remb).
func (s *session) Limit(bits float64) {
	v := int64(0)
	if bits > 0 {
		v = max(int64(bits), minCeiling)
	}
	s.ceiling.Store(v)
}

// rembScheduler decides when to send a publisher its ceiling. It sends the ceiling at once when it
// changes, and every second while there is one. When the ceiling is lifted, it sends that several
// times, because a publisher that misses it would keep the last ceiling for ten seconds.
type rembScheduler struct {
	lastBits     int64
	lastSent     time.Time
	releasesLeft int
}

func (t *rembScheduler) next(now time.Time, bits int64) (say int64, ok bool) {
	const again, lifts = time.Second, 5
	switch {
	case bits != t.lastBits:
		if t.releasesLeft = 0; bits == 0 {
			t.releasesLeft = lifts
		}
	case now.Sub(t.lastSent) < again, bits == 0 && t.releasesLeft == 0:
		return 0, false
	case bits == 0:
		t.releasesLeft--
	}
	t.lastBits, t.lastSent = bits, now
	if bits == 0 {
		return noCeiling, true
	}
	return bits, true
}

// sendCeiling sends the publisher its ceiling, if that is due at time now.
func (s *session) sendCeiling(now time.Time, t *rembScheduler) {
	bits := s.ceiling.Load()
	if bits == 0 && t.lastBits == 0 && t.releasesLeft == 0 {
		return
	}
	s.mu.Lock()
	ssrcs := make([]uint32, 0, len(s.tracks))
	for _, one := range s.tracks {
		ssrcs = append(ssrcs, uint32(one.remote.SSRC()))
	}
	s.mu.Unlock()
	if len(ssrcs) == 0 {
		return
	}
	if bits, ok := t.next(now, bits); ok {
		_ = s.peer.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: float32(bits), SSRCs: ssrcs}})
	}
}
