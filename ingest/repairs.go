package ingest

import (
	"log/slog"
	"sync/atomic"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Repairs counts the repairs of publishers' media, by track and reason. Media that was dropped
// counts as repaired. Repairs is safe for concurrent use. Its zero value is ready to use.
type Repairs struct {
	n [packetbuf.NumTracks][packetbuf.NumRepairReasons]atomic.Uint64
}

// add counts repairs, and returns those that are the first for their track and reason.
func (r *Repairs) add(all []packetbuf.Repair) (first []packetbuf.Repair) {
	for _, one := range all {
		if n := &r.n[one.Track][one.Reason]; n.Add(one.Count) == one.Count {
			first = append(first, one)
		}
	}
	return first
}

// Counts returns the counts by track and reason, including counts of 0. It omits reasons that do
// not apply to a track.
func (r *Repairs) Counts() []packetbuf.Repair {
	var all []packetbuf.Repair
	for t := range r.n {
		for reason := range r.n[t] {
			one := packetbuf.Repair{Track: packetbuf.Track(t), Reason: packetbuf.RepairReason(reason), Count: r.n[t][reason].Load()} //nolint:gosec // small numbers
			if one.Reason.Applies(one.Track) {
				all = append(all, one)
			}
		}
	}
	return all
}

// RepairReporter is a Session that reports repairs of its media.
type RepairReporter interface {
	// Repairs returns the repairs so far, by track and reason. It may be called from any
	// goroutine.
	Repairs() []packetbuf.Repair
}

// RepairLog counts the repairs of one session, and logs the first of each track and reason.
type RepairLog struct {
	session Repairs
	total   *Repairs
	log     *slog.Logger
}

// NewRepairLog returns a RepairLog that also counts into total, which may be nil.
func NewRepairLog(total *Repairs, log *slog.Logger) *RepairLog {
	if total == nil {
		total = &Repairs{}
	}
	return &RepairLog{total: total, log: log}
}

// Note counts repairs. It may be called from any goroutine.
func (l *RepairLog) Note(all []packetbuf.Repair) {
	if len(all) == 0 {
		return
	}
	l.total.add(all)
	for _, one := range l.session.add(all) {
		l.log.Warn("publisher's media repaired", "track", one.Track.String(), "reason", one.Reason.String(),
			"problem", one.Reason.Problem(), "hint", one.Reason.Hint())
	}
}

// Repairs implements RepairReporter.
func (l *RepairLog) Repairs() []packetbuf.Repair {
	var all []packetbuf.Repair
	for _, one := range l.session.Counts() {
		if one.Count > 0 {
			all = append(all, one)
		}
	}
	return all
}
