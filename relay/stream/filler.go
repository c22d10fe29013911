package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/timeline"
)

const (
	// fillEvery is how often what is due is made while the stream is held.
	fillEvery = 40 * time.Millisecond
	// pictureEvery is how often the newest keyframe is repeated. The first time is as long
	// after the last picture, so that a short break shows nothing of it.
	pictureEvery = time.Second
)

// filler keeps a held stream going: the newest keyframe again and again, and silence without
// a gap, on the stream's clock.
type filler struct {
	on      bool
	silence []byte
	base    time.Duration // where the first silent frame stands
	frames  int64         // silent frames made
	samples int64         // of a frame
	rate    int64         // samples per second
	picture time.Duration // where the next picture stands
	audio   packetbuf.Codec
}

// apart is how far behind the other a track may end and still be filled from there on. One
// that fell silent long before is filled from where the stream is.
const apart = time.Second

// begin starts to fill behind what the stream has.
func (f *filler) begin(on bool, audio *packetbuf.Packet, clock *timeline.Timeline) {
	*f = filler{on: on}
	if !on {
		return
	}
	picture, _ := clock.Last(packetbuf.Video)
	sound, begun := clock.Last(packetbuf.Audio)
	oldest := max(picture, sound) - apart
	f.picture = max(picture, oldest) + pictureEvery
	if audio == nil {
		return
	}
	samples, rate := codec.AudioFrameDuration(audio)
	frame, ok := codec.Silence(audio)
	if !ok || rate == 0 {
		return
	}
	if !begun {
		return
	}
	f.silence, f.audio = frame, audio.Codec
	f.samples, f.rate = int64(samples), int64(rate)
	f.base = max(sound, oldest) + f.at(1)
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

// fillTo makes pictures before video and silence that ends before audio, both on the stream's
// clock, in the order of their times.
func (s *Stream) fillTo(now time.Time, video, audio time.Duration) {
	f := &s.filler
	for {
		frame := time.Duration(0)
		soundDue := false
		if f.silence != nil {
			frame = f.base + f.at(f.frames)
			soundDue = f.base+f.at(f.frames+1) <= audio
		}
		switch pictureDue := s.lastKey != nil && f.picture <= video; {
		case pictureDue && (!soundDue || f.picture <= frame):
			s.repeatPicture(now, f.picture)
			f.picture += pictureEvery
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

// fillSilence closes the gap between the last silent frame and the splice.
func (s *Stream) fillSilence(now time.Time) {
	if s.filler.on {
		at := s.clock.At()
		s.fillTo(now, at-pictureEvery/4, at)
	}
}

func (s *Stream) soundKind() packetbuf.Kind {
	if s.lastKey == nil {
		return packetbuf.Key
	}
	return packetbuf.Delta
}

func (s *Stream) repeatPicture(now time.Time, at time.Duration) {
	k := s.lastKey
	s.fillWith(now, &packetbuf.Packet{
		Track: packetbuf.Video, Codec: k.Codec, Kind: packetbuf.Key, Payload: k.Payload, DTS: at, CTO: k.CTO,
	})
}

func (s *Stream) fillWith(now time.Time, p *packetbuf.Packet) {
	if last, begun := s.clock.Last(p.Track); begun && p.DTS <= last {
		return
	}
	p.Flags, p.Epoch, p.Arrived = packetbuf.Filler, s.epoch, now
	s.clock.Fill(p.Track, p.DTS)
	s.opts.Counters.Filler[p.Track].Add(1)
	s.append(now, p)
}
