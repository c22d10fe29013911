package stream

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/backlog"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
)

// holdMost is how long a returning session's newest group of pictures is kept back while more
// of the backlog arrives. On a line that is hardly faster than real time viewers then see the
// rest of the backlog sped up, without its audio.
const holdMost = time.Second

// rejoin is the return of the session that fed the stream until it fell silent, on the same
// connection. Viewers have had filler up to now: of what queued up behind the stall they get
// the newest group of pictures, squeezed, and none of its audio, so that no viewer is later
// than before.
type rejoin struct {
	backlog backlog.Monitor
	begun   bool
	// kept is the newest group of pictures since its keyframe, or the newest audio of a stream
	// without video, not yet on the stream's clock. since is when the first was kept.
	kept  []*packetbuf.Packet
	bytes int // of its payloads
	since time.Time
	// catching is set once viewers are fed again while the backlog has not drained.
	catching bool
}

// returns reports whether pub is the session that fell silent and may come back. s.mu is held.
func (s *Stream) returns(pub *publisherSession) bool {
	state, _ := s.life.State()
	return pub.id == s.life.Current() && (state == lifecycle.Held || s.rejoin.catching)
}

// takeReturning takes a packet of a session that comes back after a silence. key says that a decoder
// can start at it. s.mu is held.
func (s *Stream) takeReturning(now time.Time, pub *publisherSession, p *packetbuf.Packet, key bool) error {
	r := &s.rejoin
	if !r.begun {
		srtt, _ := pub.session.RTT()
		*r = rejoin{begun: true, backlog: backlog.New(srtt, pub.Jitter())}
	}
	r.backlog.Note(now, s.clock.Lag(p))
	if r.catching {
		action, effects := s.life.Media(now, pub.id, key)
		s.perform(now, effects)
		if action != lifecycle.Pass {
			return s.use(now, pub, p, action)
		}
		s.catchUp(now, pub, p)
		return nil
	}
	if limit := s.cfg.Load().Buffer.Bytes; limit > 0 && r.bytes+len(p.Payload) > limit {
		s.giveUp() // until its next keyframe
	}
	switch {
	case key:
		s.giveUp()
		r.keep(p)
		if r.since.IsZero() {
			r.since = now
		}
	case len(r.kept) > 0 && p.Track == packetbuf.Video:
		r.keep(p)
	default:
		action, effects := s.life.Media(now, pub.id, false)
		s.perform(now, effects)
		return s.use(now, pub, p, action)
	}
	if r.backlog.Drained() || now.Sub(r.since) >= holdMost {
		s.join(now, pub)
	}
	return nil
}

// rejoinDue has a returning session join that has sent nothing more behind its keyframe, and
// returns when to come again; zero if it need not. s.mu is held.
func (s *Stream) rejoinDue(now time.Time) time.Time {
	r := &s.rejoin
	if len(r.kept) == 0 || r.catching {
		return time.Time{}
	}
	pub := s.publishers[s.life.Current()]
	if due := r.since.Add(holdMost); pub == nil || now.Before(due) {
		return due
	}
	s.join(now, pub)
	return time.Time{}
}

func (r *rejoin) keep(p *packetbuf.Packet) {
	r.kept = append(r.kept, p)
	r.bytes += len(p.Payload) + packetbuf.Overhead
}

// giveUp drops what was kept for something newer.
func (s *Stream) giveUp() {
	r := &s.rejoin
	s.opts.Counters.Late.Add(uint64(len(r.kept)))
	clear(r.kept)
	r.kept, r.bytes = r.kept[:0], 0
}

// join has the returning session feed the stream again, from what was kept of it on.
func (s *Stream) join(now time.Time, pub *publisherSession) {
	r := &s.rejoin
	action, effects := s.life.Media(now, pub.id, true)
	s.perform(now, effects)
	if action != lifecycle.Splice { // it falls silent and returns too often
		s.giveUp()
		s.warnReturns(now, pub)
		return
	}
	kept := r.kept
	shift := time.Duration(0)
	if r.backlog.Drained() {
		shift = r.backlog.Shift()
	} else {
		r.catching = true
	}
	s.clock.Break()
	s.clock.Resume(shift)
	newest := kept[len(kept)-1]
	end := s.clock.Where(newest)
	if r.catching {
		end = s.clock.Clock(newest.Track, now)
	}
	kept[0] = s.beginSession(now, pub, kept[0], func() {
		s.fillTo(now, end-filler.Every, end)
		s.beginGap(end)
	})
	s.squeeze(now, pub, kept, end)
	if !r.catching {
		s.rejoin = rejoin{}
	}
	r.kept = nil
}

// warnReturns logs, once a minute, that a push falls silent and returns too often. s.mu is held.
func (s *Stream) warnReturns(now time.Time, pub *publisherSession) {
	if now.Sub(s.flapsTold) < flapsToldEvery {
		return
	}
	s.flapsTold = now
	session := pub.session.ID()
	s.out.queue = append(s.out.queue, func() {
		s.opts.Log.Warn("a push falls silent and returns too often; it goes on at a later keyframe", "session", session,
			"hint", "check the encoder and its line, or set silence to a longer time than its pauses")
	})
}

// squeeze gives viewers packets of one group of pictures a millisecond apart, so that the last
// stands at end or, where there is no room, as soon after it as there is. Pictures keep their
// output order.
func (s *Stream) squeeze(now time.Time, pub *publisherSession, packets []*packetbuf.Packet, end time.Duration) {
	track := packets[0].Track
	last, _ := s.clock.Last(track)
	n := len(packets)
	behind := func(i int) time.Duration { return time.Duration(i) * time.Millisecond }
	first := max(last+time.Millisecond, end-behind(n-1))
	shown := slices.SortedFunc(slices.Values(packets), func(a, b *packetbuf.Packet) int {
		return cmp.Compare(s.clock.Where(a)+a.CTO, s.clock.Where(b)+b.CTO)
	})
	// The picture shown last stands where its own time puts it, beside those that follow live.
	delay := max(0, s.clock.Where(shown[n-1])+shown[n-1].CTO-s.clock.Where(packets[n-1]))
	at := make(map[*packetbuf.Packet]time.Duration, n)
	for i, p := range shown {
		at[p] = first + behind(i) + delay
	}
	for i, p := range packets {
		s.save(pub, p)
		s.clock.Put(p, first+behind(i), at[p])
		s.deliver(now, pub, p)
	}
}

// catchUp takes a packet of a backlog that drains slowly, after viewers are fed again: video
// stands where it arrives, audio is left out, until the backlog has drained.
func (s *Stream) catchUp(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	r := &s.rejoin
	if r.backlog.Drained() {
		s.clock.Resume(r.backlog.Shift())
		s.rejoin = rejoin{}
		s.pass(now, pub, p)
		return
	}
	if p.Track == packetbuf.Audio && pub.HasVideo() {
		s.opts.Counters.Late.Add(1)
		return
	}
	s.save(pub, p)
	at := s.clock.Clock(p.Track, now)
	s.clock.Put(p, at, at+p.CTO)
	s.deliver(now, pub, p)
}
