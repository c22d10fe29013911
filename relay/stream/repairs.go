package stream

import (
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// timeRepairs are the corrections of timestamps that have been reported.
type timeRepairs struct {
	corrected [packetbuf.NumTracks]uint64
	derived   uint64
}

// noteRepairs reports what the clock has corrected in a track of session f since it was last
// asked: counted, and logged once a session. s.mu is held.
func (s *Stream) noteRepairs(f *feed, tr packetbuf.Track) {
	var found []packetbuf.Repair
	if n := s.clock.Corrections(tr); n > s.timeRepairs.corrected[tr] {
		found = append(found, packetbuf.Repair{Track: tr, Reason: packetbuf.Timestamp, Count: n - s.timeRepairs.corrected[tr]})
		s.timeRepairs.corrected[tr] = n
	}
	if n := s.clock.Derived(); tr == packetbuf.Video && n > s.timeRepairs.derived {
		found = append(found, packetbuf.Repair{Track: tr, Reason: packetbuf.DecodeOrder, Count: n - s.timeRepairs.derived})
		s.timeRepairs.derived = n
	}
	if found == nil {
		return
	}
	if f.repairs == nil {
		f.repairs = ingest.NewRepairLog(s.opts.Repairs, s.opts.Log.With("session", f.session.ID()))
	}
	repairs := f.repairs
	s.out.queue = append(s.out.queue, func() { repairs.Note(found) })
}
