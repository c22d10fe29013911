package stream

import (
	"bytes"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

const (
	// spareKeeps is how far back the GOPs begin that are kept of a spare, beside its newest: what
	// viewers have not had of a push by the time that it counts as silent.
	spareKeeps = 5 * time.Second
	// spareQuiet is how long a spare may be quiet and still take over at once.
	spareQuiet = time.Second
	// evidence is how many frames in a row have to be the same in two pushes whose timestamps
	// differ, for both to be of one encoder.
	evidence = 8
	// ends are how many of the newest frames on either side are looked for on the other: a
	// keyframe at which the stream was spliced may have been given parameter sets.
	ends = 3
)

// warm is what is kept of a spare: media from a random-access point on, not sent to anybody.
type warm struct {
	packets []*packetbuf.Packet
	bytes   int // of payload, and packetbuf.Overhead for each
	looked  int // among how many packets there is no second GOP
	key     int // the newest key; meaningless where there is none
	fresh   int // behind the newest key that refers to nothing before it; 0: there is none
}

// add keeps p, within limits; begins says that a decoder can start at it. What is not kept from
// its random-access point on is of no use.
func (w *warm) add(p *packetbuf.Packet, begins bool, limits packetbuf.Limits) {
	if len(w.packets) == 0 && !begins {
		return
	}
	if p.Kind == packetbuf.Key {
		w.key = len(w.packets)
	}
	w.packets = append(w.packets, p)
	w.bytes += len(p.Payload) + packetbuf.Overhead
	for {
		next := w.second()
		over := w.bytes > limits.Bytes || p.Arrived.Sub(w.packets[0].Arrived) > limits.Duration
		switch {
		case next < 0 && over:
			w.clear()
			return
		case next < 0 || !over && p.Arrived.Sub(w.packets[next].Arrived) < spareKeeps:
			return
		}
		for _, old := range w.packets[:next] {
			w.bytes -= len(old.Payload) + packetbuf.Overhead
		}
		clear(w.packets[:next])
		w.packets, w.looked, w.key, w.fresh = w.packets[next:], 0, w.key-next, max(0, w.fresh-next)
	}
}

// goesOn gives up what is kept if p is not what comes next: a take-over from before the hole would
// lead through it.
func (w *warm) goesOn(p *packetbuf.Packet) {
	if n := len(w.packets); n > 0 && (p.DTS-w.packets[n-1].DTS).Abs() > spareQuiet {
		w.clear()
	}
}

// second is where the second of the GOPs begins; -1 if there is but one. It looks at each packet
// once: in an endless GOP there may be many.
func (w *warm) second() int {
	for w.looked = max(1, w.looked); w.looked < len(w.packets); w.looked++ {
		if w.packets[w.looked].Kind == packetbuf.Key {
			return w.looked
		}
	}
	return -1
}

// newest is where the newest GOP begins, or where the stream is frozen that at which a decoder
// forgets the made pictures; -1 if there is none.
func (w *warm) newest(frozen bool) int {
	switch {
	case len(w.packets) == 0:
		return -1
	case frozen:
		return w.fresh - 1
	}
	return w.key
}

// age is how long ago the newest keyframe came; 0 where nothing is kept.
func (w *warm) age(now time.Time) time.Duration {
	if len(w.packets) == 0 {
		return 0
	}
	return now.Sub(w.packets[w.key].Arrived)
}

func (w *warm) clear() { *w = warm{} }

// retain keeps p, as it came.
func (pub *publisherSession) retain(p *packetbuf.Packet) {
	key := p.Kind == packetbuf.Key
	limits := pub.stream.cfg.Load().Buffer
	limits.Bytes = int(min(int64(limits.Bytes), pub.memory.Share()))
	pub.kept.add(p, key, limits)
	pub.memory.Set(pub.kept.bytes)
	if key && (p.Track != packetbuf.Video || pub.ResetsDecoder(p)) {
		pub.kept.fresh = len(pub.kept.packets)
	}
}

// Ready tells the life whether a spare can take over at once. s.mu is held.
func (q quiet) Ready(id lifecycle.ID, now time.Time) bool {
	pub := q.s.publishers[id]
	return pub != nil && pub.HasMedia() && !pub.Silent(packetbuf.Video) && pub.SinceMedia(now) < spareQuiet && pub.kept.newest(q.s.frozen) >= 0
}

// keep holds a packet of the spare. It returns false where a backup cannot follow what is live.
func (s *Stream) keep(now time.Time, pub *publisherSession, p *packetbuf.Packet) bool {
	if was := s.lastKey; pub.req.Backup && s.feeding() && p.Track == packetbuf.Video && was != nil && was.Codec != p.Codec {
		pub.detail = fmt.Sprintf("the backup's picture is %v and the stream's %v: set both encoders to one codec", p.Codec, was.Codec)
		s.perform(now, s.life.End(now, pub.id, ingest.Protocol))
		s.dismiss(pub, ingest.Protocol, pub.detail)
		return false
	}
	if pub.stopped {
		pub.stopped = false
		pub.kept.goesOn(p)
	}
	pub.retain(p)
	return true
}

// save keeps p of the session that feeds, as it came, while there is a spare: the two may change
// places.
func (s *Stream) save(pub *publisherSession, p *packetbuf.Packet) {
	if s.life.Spare() == 0 {
		pub.kept.clear()
		pub.memory.Set(0)
		return
	}
	kind := p.Kind
	if p.Track == packetbuf.Audio && pub.HasVideo() {
		kind = packetbuf.Delta // where its picture is silent, viewers may begin with sound
	}
	pub.retain(&packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: kind, DTS: p.DTS, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload,
	})
}

// turn has session pub, the spare so far, feed the stream: with the very next frame where it is
// the same encoder's as viewers have had, else from its newest keyframe.
func (s *Stream) turn(now time.Time, pub *publisherSession, cause ingest.Cause) {
	if old := s.publishers[s.life.Spare()]; old != nil && cause != "" {
		old.kept.clear() // it has broken, and begins anew where it comes back
	}
	e := Event{Time: now, Type: BackupOff, Cause: cause, After: s.fed}
	s.rejoin = rejoin{}
	kept := pub.kept
	packets := kept.packets
	pub.kept.clear()
	if p, at := s.align(pub, packets); p != nil {
		s.clock.Follow(p, at)
		s.fed = pub.session.ID()
		pub.Join(now)
		if s.ceilings.least() > 0 {
			s.limit(pub)
		}
		for _, p := range packets {
			if last, begun := s.clock.Last(p.Track); !begun || s.clock.Where(p) > last {
				s.pass(now, pub, p)
			} else {
				s.save(pub, p)
			}
		}
	} else {
		at := max(0, kept.newest(s.frozen))
		s.splice(now, pub, packets[at])
		for _, p := range packets[at+1:] {
			s.pass(now, pub, p)
		}
	}
	if pub.req.Backup {
		e.Type = BackupOn
		if wait := s.life.ReturnAfter(); wait > s.cfg.Load().BackupReturn {
			e.Detail = fmt.Sprintf("the primary broke soon after its return: it has the stream again when it has been healthy for %v", wait)
		}
	}
	s.tellOf(pub, e)
}

// recall notes a packet that viewers have had, while there is a spare that might have it too.
func (s *Stream) recall(p *packetbuf.Packet) {
	if s.life.Spare() == 0 {
		s.had.clear()
		return
	}
	s.had.add(p, true, s.cfg.Load().Buffer)
}

// align finds a packet among those kept of f that viewers have had already, and where it stands
// on the stream's clock; nil if there is none. A spare that is behind delivers once more what
// viewers have had, which is passed over.
func (s *Stream) align(pub *publisherSession, packets []*packetbuf.Packet) (p *packetbuf.Packet, at time.Duration) {
	if !pub.SameConfigs(s.sent) {
		return nil, 0
	}
	track := packetbuf.Video
	if !s.present[packetbuf.Video] {
		track = packetbuf.Audio
	}
	had, kept := only(s.had.packets, track), only(packets, track)
	for n := 1; n <= min(ends, len(had)); n++ {
		for j := len(kept) - 1; j >= 0; j-- {
			if i := len(had) - n; s.same(had, kept, i, j) {
				return kept[j], had[i].DTS
			}
		}
	}
	for n := 1; n <= min(ends, len(kept)); n++ {
		for i := len(had) - 1; i >= 0; i-- {
			if j := len(kept) - n; s.same(had, kept, i, j) {
				return kept[j], had[i].DTS
			}
		}
	}
	return nil, 0
}

// same tells whether had[i] and kept[j] are one encoder's frame: with one timestamp on both
// publishers' clocks, or at the end of a run of frames that are the same.
func (s *Stream) same(had, kept []*packetbuf.Packet, i, j int) bool {
	equal := func(n int) bool { return bytes.Equal(had[i-n].Payload, kept[j-n].Payload) }
	if !equal(0) {
		return false
	}
	if s.clock.Same(had[i].DTS, kept[j].DTS) {
		return true
	}
	if i < evidence || j < evidence || bytes.Equal(had[i].Payload, had[i-1].Payload) {
		return false
	}
	for n := 1; n < evidence; n++ {
		if !equal(n) {
			return false
		}
	}
	return true
}

func only(packets []*packetbuf.Packet, tr packetbuf.Track) (out []*packetbuf.Packet) {
	for _, p := range packets {
		if p.Track == tr {
			out = append(out, p)
		}
	}
	return out
}
