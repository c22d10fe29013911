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
	close    func() // closes the session; set by dismiss
	detail   string // why the session ended
	counter  int    // index in Counters.ingestBytes

	repairs *ingest.RepairLog // repairs of its timestamps; nil: none so far
	keyless bool              // it was logged that viewers are refused because no keyframe arrives

	gopWindow standby.Window  // media for a switchover; of the active session only while a standby exists
	memory    *budget.Account // memory used by gopWindow
	stopped   bool            // as the standby it was reported silent, and it has sent nothing since
}

func newPublisherSession(s *Stream, id lifecycle.ID, r ingest.Request, now time.Time) *publisherSession {
	return &publisherSession{
		Session: publisher.NewSession(s.cfg.Load().watchdog(), now),
		stream:  s, id: id, req: r, session: r.Session, accepted: now,
		counter: index(protocols[:], r.Protocol), memory: s.opts.Memory.Open(budget.Packets, nil),
	}
}

// retain keeps packet p, unmodified, for a switchover.
func (pub *publisherSession) retain(p *packetbuf.Packet) {
	limits := pub.stream.cfg.Load().Buffer
	limits.Bytes = int(min(int64(limits.Bytes), pub.memory.Share()))
	key := p.Kind == packetbuf.Key
	pub.gopWindow.Add(p, key, key && (p.Track != packetbuf.Video || pub.ResetsDecoder(p)), limits)
	pub.memory.Set(pub.gopWindow.Bytes())
}

// requestKey asks the session for a keyframe, and reports whether the session supports that. The
// stream's lock is held; its holder flushes the outbox. pub may be nil.
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

// limit asks the session to send at most the given number of bits per second. The stream's lock is
// held; its holder flushes the outbox. pub may be nil.
func (pub *publisherSession) limit(bits float64) {
	if pub == nil {
		return
	}
	if l, ok := pub.session.(ingest.Limiter); ok {
		pub.stream.out.add(func() { l.Limit(bits) })
	}
}

// reportRepairs counts repairs of the session's timestamps, and logs them once per session. The
// stream's lock is held; its holder flushes the outbox.
func (pub *publisherSession) reportRepairs(news []packetbuf.Repair) {
	opts := &pub.stream.opts
	if pub.repairs == nil {
		pub.repairs = ingest.NewRepairLog(opts.Repairs, opts.Log.With("session", pub.session.ID()))
	}
	repairs := pub.repairs
	pub.stream.out.add(func() { repairs.Note(news) })
}
