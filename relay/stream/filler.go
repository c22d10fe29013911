package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// fillEvery is how often what is due is made while the stream is held.
const fillEvery = 40 * time.Millisecond

// filler keeps a held stream going: the last picture again and again, and silence without a gap,
// on the stream's clock.
type filler struct {
	on      bool
	still   still
	slate   *playing // nil: none is played
	padding padding
	silence []byte
	base    time.Duration // where the first silent frame stands
	frames  int64         // silent frames made
	samples int64         // of a frame
	rate    int64         // samples per second
	audio   packetbuf.Codec
	overdue time.Duration // audio before it is made after its time has passed
	sparse  time.Duration // the newest audio of that time that all viewers get
	thins   bool          // audio of that time is being made
}

// apart is how far behind the other a track may end and still be filled from there on. One
// that fell silent long before is filled from where the stream is.
const apart = time.Second

// A hang is noticed a second or more after the last frame. Players that buffer less have run dry
// by then, and those that never catch up would be later for good by all the audio that covers that
// time.
const (
	// overdueAfter is how old audio may be when it is made and still be given to all viewers.
	overdueAfter = 200 * time.Millisecond
	// overdueSpacing bounds the distance between two frames of older audio that all viewers get.
	overdueSpacing = 99 * time.Millisecond
	// overdueDelay is how much later such a frame stands than by counting. Players that close a
	// hole of three frames (mpegts.js, flv.js) would else take it for a shorter one by rounding,
	// play on over it, and keep their audio early.
	overdueDelay = time.Millisecond
)

// beginFiller starts to fill behind what the stream has. s.mu is held.
func (s *Stream) beginFiller(now time.Time) {
	f := &s.filler
	*f = filler{on: s.cfg.Load().Freeze}
	if !f.on {
		return
	}
	picture, _ := s.clock.Last(packetbuf.Video)
	sound, begun := s.clock.Last(packetbuf.Audio)
	oldest := max(picture, sound) - apart
	f.overdue, f.sparse = s.clock.Clock(packetbuf.Audio, now)-overdueAfter, sound
	bytes, span := s.sessionRate()
	f.padding = newPadding(bytes, span)
	if f.slate = s.newPlaying(max(picture, sound)); f.slate == nil {
		f.still = s.newStill(max(picture, oldest))
	}
	if !begun || f.slate != nil && !f.slate.mute {
		return
	}
	cfg := s.sent[packetbuf.Audio]
	samples, rate := codec.AudioFrameDuration(cfg)
	frame, ok := codec.Silence(cfg)
	if !ok || rate == 0 {
		return
	}
	f.silence, f.audio = frame, cfg.Codec
	f.samples, f.rate = int64(samples), int64(rate)
	f.base = max(sound, oldest) + f.at(1)
	f.thins = f.base < f.overdue
}

func (f *filler) stop() { *f = filler{} }

// at is how long n frames last. Counting from the base keeps rounding from adding up.
func (f *filler) at(n int64) time.Duration {
	return time.Duration(n * f.samples * int64(time.Second) / f.rate)
}

// fill makes what has become due and returns when to come again. s.mu is held.
func (s *Stream) fill(now time.Time) time.Time {
	if !s.filler.on {
		return time.Time{}
	}
	s.fillTo(now, s.clock.Clock(packetbuf.Video, now), s.clock.Clock(packetbuf.Audio, now))
	return now.Add(fillEvery)
}

// fillTo makes pictures that are shown before video and silence that ends before audio, both on
// the stream's clock, in the order of their times.
func (s *Stream) fillTo(now time.Time, video, audio time.Duration) {
	f := &s.filler
	for {
		frame := time.Duration(0)
		soundDue := false
		if f.silence != nil {
			frame = f.base + f.at(f.frames)
			soundDue = f.base+f.at(f.frames+1) <= audio
		}
		pictureDue, next := f.still.due(video), f.still.next
		if f.slate != nil {
			pictureDue, next = f.slate.due(video), f.slate.dts()
		}
		switch {
		case pictureDue && (!soundDue || next <= frame) && f.slate != nil:
			s.fillSlate(now)
		case pictureDue && (!soundDue || next <= frame):
			s.fillPicture(now)
		case soundDue:
			f.frames++
			s.fillWith(now, &packetbuf.Packet{
				Track: packetbuf.Audio, Codec: f.audio, Kind: s.soundKind(), Payload: f.silence, DTS: frame.Truncate(time.Millisecond),
			})
		default:
			return
		}
	}
}

// fillUp closes the gap between what was filled last and the splice, where pictures need room
// before them.
func (s *Stream) fillUp(now time.Time) {
	if s.filler.on {
		at := s.clock.At()
		s.fillTo(now, at-fillEvery, at)
	}
}

func (s *Stream) soundKind() packetbuf.Kind {
	if s.lastKey == nil {
		return packetbuf.Key
	}
	return packetbuf.Delta
}

// fillWith gives viewers a packet that was made.
func (s *Stream) fillWith(now time.Time, p *packetbuf.Packet) {
	if last, begun := s.clock.Last(p.Track); begun && p.DTS <= last {
		return
	}
	p.Flags, p.Epoch, p.Arrived = p.Flags|packetbuf.Filler, s.epoch, now
	if p.Track == packetbuf.Audio && s.filler.thins {
		s.filler.thin(p, s.audioFrame())
	}
	s.clock.Fill(p.Track, p.DTS)
	if p.Flags&packetbuf.Again == 0 {
		s.opts.Counters.Filler[p.Track].Add(1)
		p.Padding = s.filler.padding.before(now.Sub(s.since), len(p.Payload))
	}
	s.append(now, p)
}

// thin marks audio that players without a reserve can do without, and delays the rest. It ends
// with a frame that all viewers get, so that the last hole is as long as the others.
func (f *filler) thin(p *packetbuf.Packet, frame time.Duration) {
	if p.DTS+frame-f.sparse <= overdueSpacing {
		p.Flags |= packetbuf.Overdue
		return
	}
	f.sparse, f.thins = p.DTS, p.DTS < f.overdue
	p.DTS += overdueDelay
}
