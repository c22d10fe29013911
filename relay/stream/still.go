package stream

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// stillEvery is how often the last picture is repeated by a made one.
	stillEvery = 200 * time.Millisecond
	// promptly is how many of the first made pictures follow as the publisher's did: a decoder
	// that puts pictures in order shows the last real ones only with them.
	promptly = 3
	// keyEvery is how often the newest keyframe is repeated where no picture can be made, or
	// seldomer, so that it does not take more than the stream did. The first time is as long
	// after the last picture, so that a short break shows nothing of it.
	keyEvery = time.Second
	// againEvery is how often the way to the last picture is sent once more for who joins.
	againEvery = 5 * time.Second
	// againMost is how many pictures that may be: they stand a millisecond apart.
	againMost = 900
)

// still shows the last picture while the stream is held.
type still struct {
	freezer *codec.Freezer // nil: the newest keyframe is repeated
	next    time.Duration  // DTS of the next picture
	step    time.Duration  // between the publisher's pictures
	every   time.Duration
	cto     time.Duration
	// gop is what the last picture is decoded from, from its keyframe on; nil where that is gone.
	gop   []*packetbuf.Packet
	again time.Duration // when it is due once more
	// restart makes that one for viewers who have had it as well.
	restart bool
	since   time.Duration // the made picture behind which it is going to stand; 0: none
	made    [][]byte      // the made pictures that it ends with
}

// newStill looks at what the ring has of the session whose last picture stands at last. s.mu is
// held.
func (s *Stream) newStill(last time.Duration) still {
	v := still{every: keyEvery, step: s.clock.Step(packetbuf.Video)}
	if v.step <= 0 || v.step > stillEvery {
		v.step = keyEvery / 25
	}
	if s.lastKey == nil {
		return v
	}
	v.cto = s.lastKey.CTO
	if cfg := s.sent[packetbuf.Video]; cfg != nil && cfg.Codec == packetbuf.H264 {
		if c, err := codec.ParseAVCConfig(cfg.Payload); err == nil {
			v.freezer = codec.NewFreezer(c)
		}
	}
	v.every = max(keyEvery, s.follow(&v))
	if v.freezer != nil && v.freezer.Ready() != nil {
		v.freezer = nil
	}
	v.next, v.again = last+v.every, last+againEvery
	if v.freezer != nil {
		v.every, v.next = stillEvery, last+v.step
		if _, cause := s.life.State(); cause == ingest.Silence {
			// Viewers had nothing until the verdict. A player that buffers less starts its decoder
			// again with what comes now, and then has no reference for made pictures.
			v.again, v.restart = last, true
		}
	}
	return v
}

// follow has the still see all pictures of the session that the ring has, and returns how far
// apart its newest keyframe can be repeated at the session's own rate.
func (s *Stream) follow(v *still) time.Duration {
	var first, newest *packetbuf.Packet
	var shown time.Duration
	bytes := 0
	for p := range s.pictures() {
		if first == nil {
			first = p
		}
		newest, bytes, shown = p, bytes+len(p.Payload), max(shown, p.PTS())
		if p.Kind == packetbuf.Key {
			v.gop = v.gop[:0:0]
		}
		if p.Kind == packetbuf.Key || len(v.gop) > 0 && p.Kind == packetbuf.Delta {
			v.gop = append(v.gop, p)
		}
		if v.freezer != nil {
			v.freezer.Follow(p.Payload)
		}
	}
	if newest == nil || newest == first {
		return 0
	}
	if v.freezer != nil {
		v.cto = max(0, shown-newest.DTS)
	}
	span := newest.DTS - first.DTS + v.step
	return time.Duration(float64(span) * float64(len(s.lastKey.Payload)) / float64(bytes)).Round(time.Millisecond)
}

// pictures are those of the session that feeds the stream, as far as the ring has them.
func (s *Stream) pictures() func(yield func(*packetbuf.Packet) bool) {
	return func(yield func(*packetbuf.Packet) bool) {
		for p := range s.sessionMedia() {
			if p.Track == packetbuf.Video && !yield(p) {
				return
			}
		}
	}
}

// sessionMedia returns the media of the session that feeds the stream, as far as the ring has it.
// Bridged audio is not among it.
func (s *Stream) sessionMedia() func(yield func(*packetbuf.Packet) bool) {
	stats := s.ring.Stats()
	cursor, _ := s.ring.Live()
	cursor.From(stats.Head - uint64(stats.Packets)) //nolint:gosec // not negative
	return func(yield func(*packetbuf.Packet) bool) {
		var buf [batch]*packetbuf.Packet
		for {
			n, err := cursor.Read(buf[:])
			if n == 0 || err != nil {
				return
			}
			for _, p := range buf[:n] {
				if p.Media() && !p.Bridged() && p.Epoch == s.epoch && !yield(p) {
					return
				}
			}
		}
	}
}

// due tells whether the next picture is shown by then.
func (v *still) due(clock time.Duration) bool {
	return v.next > 0 && v.next+v.cto <= clock
}

// fillPicture gives viewers the last picture once more. s.mu is held.
func (s *Stream) fillPicture(now time.Time) {
	v := &s.filler.still
	if v.freezer == nil {
		if k := s.lastKey; k != nil {
			s.fillWith(now, &packetbuf.Packet{
				Track: packetbuf.Video, Codec: k.Codec, Kind: packetbuf.Key, Payload: k.Payload, DTS: v.next, CTO: k.CTO,
			})
		}
		v.next += v.every
		return
	}
	if v.since > 0 { // not before its place has passed: the publisher may come back
		s.fillAgain(now, v.since)
		v.since = 0
	}
	s.fillWith(now, v.picture(v.next, v.freezer.Next(), packetbuf.Delta))
	s.frozen = true
	if v.freezer.Count() < promptly {
		v.next += v.step
		return
	}
	room := v.every
	if v.next >= v.again {
		v.again += againEvery
		if v.made = v.freezer.Way(); len(v.gop) > 0 && len(v.gop)+len(v.made) <= againMost {
			v.since, room = v.next, max(room, time.Duration(len(v.gop)+len(v.made)+1)*time.Millisecond)
		}
	}
	v.next += room
}

func (v *still) picture(dts time.Duration, au []byte, kind packetbuf.Kind) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: kind, Payload: au, DTS: dts, CTO: v.cto}
}

// fillAgain puts the way to the last picture behind the made one that stands at last: the
// keyframe and what follows it, and of the made pictures as many as a decoder has to see. Viewers
// who have had all that go past it.
func (s *Stream) fillAgain(now time.Time, last time.Duration) {
	v := &s.filler.still
	shown := slices.SortedFunc(slices.Values(v.gop), func(a, b *packetbuf.Packet) int { return cmp.Compare(a.PTS(), b.PTS()) })
	place := make(map[*packetbuf.Packet]time.Duration, len(shown))
	for i, p := range shown {
		place[p] = last + time.Duration(i+1)*time.Millisecond + v.cto
	}
	flags := packetbuf.Again
	if v.restart {
		flags |= packetbuf.Restart
		v.restart = false
	}
	for _, g := range v.gop {
		last += time.Millisecond
		p := v.picture(last, g.Payload, g.Kind)
		p.CTO, p.Flags = max(0, place[g]-last), flags
		s.fillWith(now, p)
	}
	for _, au := range v.made {
		last += time.Millisecond
		p := v.picture(last, au, packetbuf.Delta)
		p.Flags = flags
		s.fillWith(now, p)
	}
}
