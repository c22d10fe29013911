package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
)

// settle is how long a session that feeds the stream may take to show its second track
// before viewers who join are no longer told of one.
const settle = 2 * time.Second

// splice joins session f to the stream at p, its first random-access point.
func (s *Stream) splice(now time.Time, f *feed, p *packetbuf.Packet) {
	s.clock.Break()
	s.clock.SetReorder(reorderOf(f.configs[packetbuf.Video]))
	s.clock.Splice(p)
	s.rejoin = rejoin{}
	p = s.beginSession(now, f, p, func() {
		s.fillTo(now, s.clock.At()-filler.Every, s.clock.At())
		s.beginGap(s.clock.At())
	})
	s.pass(now, f, p)
}

// beginSession has viewers expect session f from p on, which has no place on the stream's clock
// yet; fill closes the gap between filler and p. It returns the packet to send in the place of p.
func (s *Stream) beginSession(now time.Time, f *feed, p *packetbuf.Packet, fill func()) *packetbuf.Packet {
	f.joined, f.settled, s.fed = now, false, f.session.ID()
	if s.ceilings.least() > 0 {
		s.limit(f)
	}
	s.had.clear() // what follows depends on nothing before it
	fill()
	first := s.epoch == 0
	s.epoch++ // only now: a picture made is no reference for those of the session
	if p.Track == packetbuf.Audio && f.configs[packetbuf.Video] == nil {
		s.drop(packetbuf.Video)
	}
	if picture := s.announce(now, f); picture {
		p = codec.WithParameterSets(p, s.sent[packetbuf.Video])
	}
	if !first {
		p.Flags |= packetbuf.Splice
	}
	s.filler = nil
	return p
}

// pass puts a packet on the stream's clock and gives it to the viewers.
func (s *Stream) pass(now time.Time, f *feed, p *packetbuf.Packet) {
	if !f.settled && now.Sub(f.joined) >= settle {
		f.settled = s.forget(now, f)
	}
	s.save(f, p)
	placed := !s.covered(p) && s.clock.Place(p)
	s.noteRepairs(f, p.Track)
	if !placed {
		s.opts.Counters.Late.Add(1)
		return
	}
	s.deliver(now, f, p)
}

// deliver gives viewers a packet that has its place on the stream's clock.
func (s *Stream) deliver(now time.Time, f *feed, p *packetbuf.Packet) {
	if p.Track == packetbuf.Video {
		s.frozen = s.frozen && !f.begins(p)
	}
	p.Epoch = s.epoch
	if f.configs[p.Track] == nil && f.meta.codecs[p.Track] != p.Codec {
		s.announceBare(now, f, p)
	}
	if p.Kind == packetbuf.Key && s.untold {
		s.announce(now, f)
	}
	if p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		s.lastKey = p
	}
	s.closeGap(now, f, p)
	s.recall(p)
	s.append(now, p)
}

// begins tells whether a decoder forgets at p what it has had: at a keyframe, but for those of
// H.264 that let leading pictures refer to what stood before them.
func (f *feed) begins(p *packetbuf.Packet) bool {
	if p.Kind != packetbuf.Key || p.Codec != packetbuf.H264 {
		return p.Kind == packetbuf.Key
	}
	length := 4
	if cfg := f.configs[packetbuf.Video]; cfg != nil {
		if c, err := codec.ParseAVCConfig(cfg.Payload); err == nil {
			length = c.LengthSize
		}
	}
	return codec.AVCHas(p.Payload, length, codec.NALIDR)
}

// announceBare tells of a track that has no configuration, such as MP3: its frames say what
// it is, and the configuration of what was there before is no longer in force.
func (s *Stream) announceBare(now time.Time, f *feed, p *packetbuf.Packet) {
	f.meta.codecs[p.Track] = p.Codec
	if was := s.sent[p.Track]; was != nil && was.Codec != p.Codec {
		s.drop(p.Track)
	}
	s.present[p.Track] = true
	if p.Track == packetbuf.Audio {
		s.soundIs(now, p.Codec)
	}
	s.announce(now, f)
}

// forget drops the tracks that the session before had and this one has not. It returns false
// while one of them may still come.
func (s *Stream) forget(now time.Time, f *feed) bool {
	if f.configs[packetbuf.Video] == nil && !f.hasVideo {
		s.drop(packetbuf.Video)
	}
	if f.configs[packetbuf.Audio] == nil && f.audio.IsZero() {
		if s.keepsAudio(now, f) {
			return false
		}
		s.drop(packetbuf.Audio)
	}
	s.announce(now, f)
	return true
}

func (s *Stream) drop(tr packetbuf.Track) {
	s.present[tr], s.sent[tr] = false, nil
	s.ring.Forget(int(tr))
	switch tr {
	case packetbuf.Video:
		s.lastKey = nil
	case packetbuf.Audio:
		s.gap.Configure(nil)
		s.soundIs(time.Time{}, packetbuf.NoCodec)
	case packetbuf.Data:
	}
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
