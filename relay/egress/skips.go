package egress

import (
	"log/slog"
	"time"
)

// skipsEvery is how often the skips of one viewer are logged at most.
const skipsEvery = time.Minute

// SkipLog logs that a viewer falls behind and skips to a keyframe: its first skip, and then a line a
// minute at most, with how many there were since the line before. It is of one goroutine. The zero
// SkipLog logs nothing.
type SkipLog struct {
	log    func() *slog.Logger
	seen   uint64
	untold uint64
	next   time.Time
}

// NewSkipLog returns a SkipLog that logs to what log returns, which it asks for with each line.
func NewSkipLog(log func() *slog.Logger) SkipLog { return SkipLog{log: log} }

// Skips returns how often the reader of r has skipped; false where r does not count that.
func Skips(r any) (func() uint64, bool) {
	counts, ok := r.(interface{ Skips() uint64 })
	if !ok {
		return nil, false
	}
	return counts.Skips, true
}

// Total takes how often the viewer has skipped so far.
func (s *SkipLog) Total(now time.Time, total uint64) {
	n := total - s.seen
	s.seen = total
	s.Add(now, n)
}

// Add takes that the viewer has skipped n times more.
func (s *SkipLog) Add(now time.Time, n uint64) {
	if s.untold += n; s.log == nil || s.untold == 0 || now.Before(s.next) {
		return
	}
	s.log().Info("viewer skipped", "cause", "lag", "skips", s.untold, "hint", "the viewer's connection is slower than the stream's bitrate; offer a lower rendition")
	s.untold, s.next = 0, now.Add(skipsEvery)
}
