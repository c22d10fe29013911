package egress

import (
	"log/slog"
	"time"
)

// skipLogInterval is the minimum time between two log lines about the skips of one viewer.
const skipLogInterval = time.Minute

// SkipLog logs how often a viewer falls behind and skips to a keyframe. It logs the first skip, and
// then at most one line a minute, with the number of skips since the previous line. It is not safe
// for concurrent use. The zero SkipLog logs nothing.
type SkipLog struct {
	log     func() *slog.Logger
	seen    uint64
	pending uint64 // skips not yet logged
	next    time.Time
}

// NewSkipLog returns a SkipLog. It calls log to get the logger for each line.
func NewSkipLog(log func() *slog.Logger) SkipLog { return SkipLog{log: log} }

// Skips returns the method of reader r that counts its skips. It returns false if r has none.
func Skips(r any) (func() uint64, bool) {
	counts, ok := r.(interface{ Skips() uint64 })
	if !ok {
		return nil, false
	}
	return counts.Skips, true
}

// Total sets the total number of the viewer's skips so far, and logs them if a line is due at time
// now.
func (s *SkipLog) Total(now time.Time, total uint64) {
	n := total - s.seen
	s.seen = total
	s.Add(now, n)
}

// Add adds n skips, and logs them if a line is due at time now.
func (s *SkipLog) Add(now time.Time, n uint64) {
	if s.pending += n; s.log == nil || s.pending == 0 || now.Before(s.next) {
		return
	}
	s.log().Info("viewer skipped", "cause", "lag", "skips", s.pending, "hint", "the viewer's connection is slower than the stream's bitrate; offer a lower rendition")
	s.pending, s.next = 0, now.Add(skipLogInterval)
}
