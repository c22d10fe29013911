package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// splice joins session pub to the stream at p, its first random-access point.
func (s *Stream) splice(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	s.clock.Break()
	s.clock.SetReorder(publisher.ReorderFrames(pub.Config(packetbuf.Video)))
	s.clock.Splice(p)
	s.returning = standby.Returning{}
	p = s.beginSession(now, pub, p, func() {
		s.fillTo(now, s.clock.At()-filler.Every, s.clock.At())
		s.beginGap(s.clock.At())
	})
	s.pass(now, pub, p)
}

// beginSession has viewers expect session pub from p on, which has no place on the stream's clock
// yet; fill closes the gap between filler and p. It returns the packet to send in the place of p.
func (s *Stream) beginSession(now time.Time, pub *publisherSession, p *packetbuf.Packet, fill func()) *packetbuf.Packet {
	s.activate(now, pub)
	s.sentWindow.Clear() // what follows depends on nothing before it
	fill()
	first := s.epoch == 0
	s.epoch++ // only now: a picture made is no reference for those of the session
	if p.Track == packetbuf.Audio && pub.Config(packetbuf.Video) == nil {
		s.drop(packetbuf.Video)
	}
	if picture := s.announce(now, pub); picture {
		p = codec.WithParameterSets(p, s.sent[packetbuf.Video])
	}
	if !first {
		p.Flags |= packetbuf.Splice
	}
	s.filler = nil
	return p
}

// pass puts a packet on the stream's clock and gives it to the viewers.
func (s *Stream) pass(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	if pub.Settles(now) {
		s.forget(now, pub)
	}
	s.retainActive(pub, p)
	placed := !s.covered(p) && s.clock.Place(p)
	s.noteRepairs(pub, p.Track)
	if !placed {
		s.opts.Counters.Late.Add(1)
		return
	}
	s.deliver(now, pub, p)
}

// deliver gives viewers a packet that has its place on the stream's clock.
func (s *Stream) deliver(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	if p.Track == packetbuf.Video {
		s.frozen = s.frozen && !pub.ResetsDecoder(p)
	}
	p.Epoch = s.epoch
	if pub.NoteBare(p) {
		s.announceBare(now, pub, p)
	}
	if p.Kind == packetbuf.Key && s.configPending {
		s.announce(now, pub)
	}
	if p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		s.lastKey = p
	}
	s.closeGap(now, pub, p)
	s.retainSent(p)
	s.append(now, p)
}

// keyWake is how often a keyframe wakes the viewers at once: of a stream that consists of
// keyframes not each may.
const keyWake = 500 * time.Millisecond

// append adds p to the ring and wakes viewers: at once for what lets a picture begin, else
// gathered.
func (s *Stream) append(now time.Time, p *packetbuf.Packet) {
	s.markSegment(p)
	s.ring.Append(p)
	s.appended = now
	gather := s.cfg.Load().Gather
	if gather == GatherAuto {
		gather = s.opts.Load.gather()
	}
	if p.Track == packetbuf.Video && p.Kind == packetbuf.Key && now.Sub(s.keyWoken) >= keyWake {
		s.keyWoken, gather = now, 0
	}
	s.wake.soon(gather)
}
