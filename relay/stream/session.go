package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// publisherSession is one accepted publisher session: an ingest.Sink. Its fields are guarded by the
// stream's lock.
type publisherSession struct {
	*publisher.Session
	stream   *Stream
	id       lifecycle.ID
	req      ingest.Request
	session  ingest.Session
	accepted time.Time
	gone     bool
	close    func() // closes the session, once it was dismissed
	detail   string // of its end
	counter  int    // its index in Counters.ingestBytes

	repairs *ingest.RepairLog // of its timestamps; nil: none had to be repaired
	keyless bool              // it has been logged that viewers are refused for want of a keyframe

	gopWindow standby.Window  // what a switchover needs: of the standby, and of the active session while there is one
	memory    *budget.Account // of gopWindow
	stopped   bool            // it has counted as silent while it was the standby, and has sent nothing since
}

func newPublisherSession(s *Stream, id lifecycle.ID, r ingest.Request, now time.Time) *publisherSession {
	return &publisherSession{
		Session: publisher.NewSession(s.cfg.Load().watchdog(), now),
		stream:  s, id: id, req: r, session: r.Session, accepted: now,
		counter: index(protocols[:], r.Protocol), memory: s.opts.Memory.Open(budget.Packets, nil),
	}
}

// retain keeps p, as it came, for a switchover.
func (pub *publisherSession) retain(p *packetbuf.Packet) {
	limits := pub.stream.cfg.Load().Buffer
	limits.Bytes = int(min(int64(limits.Bytes), pub.memory.Share()))
	key := p.Kind == packetbuf.Key
	pub.gopWindow.Add(p, key, key && (p.Track != packetbuf.Video || pub.ResetsDecoder(p)), limits)
	pub.memory.Set(pub.gopWindow.Bytes())
}

// requestKey asks the session for a keyframe, and reports whether it can be asked. The stream's lock
// is held; its holder flushes afterwards. pub may be nil.
func (pub *publisherSession) requestKey() bool {
	if pub == nil {
		return false
	}
	k, ok := pub.session.(ingest.KeyRequester)
	if ok {
		pub.stream.out.add(k.RequestKey)
	}
	return ok
}

// limit asks the session for at most so many bits per second. The stream's lock is held; its holder
// flushes afterwards. pub may be nil.
func (pub *publisherSession) limit(bits float64) {
	if pub == nil {
		return
	}
	if l, ok := pub.session.(ingest.Limiter); ok {
		pub.stream.out.add(func() { l.Limit(bits) })
	}
}

// reportRepairs counts repairs of the session's timestamps, and logs them once a session. The
// stream's lock is held; its holder flushes afterwards.
func (pub *publisherSession) reportRepairs(news []packetbuf.Repair) {
	opts := &pub.stream.opts
	if pub.repairs == nil {
		pub.repairs = ingest.NewRepairLog(opts.Repairs, opts.Log.With("session", pub.session.ID()))
	}
	repairs := pub.repairs
	pub.stream.out.add(func() { repairs.Note(news) })
}
