// Package audiogap closes holes in an audio track with silence, so that players of one muxed
// file or connection always find both tracks.
//
// A hole is closed when video has passed it by more than the two tracks usually lie apart, or
// when the audio frame behind it arrives. Real audio that arrives for a time that silence has
// covered already is late and has no place any more.
//
// The package is pure: it returns the packets that are due, and its time is the stream's clock.
package audiogap

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// Margin is how far beyond the learned interleave video passes a hole before the hole is
	// closed.
	Margin = 200 * time.Millisecond
	// short is the longest hole that is left for players to conceal. With the frame before it,
	// the gap between two decode times stays below 100 ms.
	short = 60 * time.Millisecond
	// pause is the shortest step of video that counts as a pause of the whole publisher, which
	// is not an audio hole. At a low frame rate three frames are needed.
	pause = 1500 * time.Millisecond
	// longest bounds the silence made at once.
	longest = 10 * time.Second
	// credit bounds how far the audio counted by its frames may run ahead of its timestamps.
	// Encoders that stamp a batch of frames alike need it.
	credit = time.Second
	// rounding is how much timestamps in milliseconds may be off.
	rounding = 2 * time.Millisecond
	// ahead is how far before its video the first audio of a session may stand.
	ahead = 10 * time.Second
)

// Track follows one audio track beside its video. The zero value knows no audio and makes none.
type Track struct {
	// Slack is added to Margin: the reader of a stream in which holes are closed already waits
	// for that silence.
	Slack time.Duration

	codec   packetbuf.Codec
	frame   []byte // one silent frame; nil: none can be made
	samples int64  // in a silent frame
	rate    int64  // samples per second
	config  *packetbuf.Packet

	begun  bool
	heard  bool          // viewers have had audio
	end    time.Duration // where the audio ends, real or made
	made   bool          // the newest frame was made
	fresh  bool          // audio of an earlier session came before, and none since Begin
	real   time.Duration // DTS of the newest real frame, late ones among them
	from   time.Duration // start of the newest run of silence
	count  int64         // frames in that run
	video  time.Duration // DTS of the newest video packet
	step   time.Duration // between the newest two
	seen   bool          // a video packet has come
	spread interleave
	out    []*packetbuf.Packet
}

// Configure sets the decoder configuration in force; nil if there is none. It does not move the
// end of the audio.
func (t *Track) Configure(config *packetbuf.Packet) {
	t.config, t.frame, t.codec = config, nil, packetbuf.NoCodec
	if frame, ok := codec.Silence(config); ok {
		samples, rate := codec.AudioFrameDuration(config)
		if samples > 0 && rate > 0 {
			t.frame, t.codec, t.samples, t.rate = frame, config.Codec, int64(samples), int64(rate)
		}
	}
	t.restart()
}

// Able reports whether silence can be made under the configuration in force.
func (t *Track) Able() bool { return t.frame != nil }

// Frame returns a silent frame and how many samples it has; nil if none can be made.
func (t *Track) Frame() (frame []byte, samples int64) { return t.frame, t.samples }

// Begin expects audio from at on, unless it reaches further already. A session that begins and a
// splice call it.
func (t *Track) Begin(at time.Duration) {
	if !t.begun || at-t.end > pause { // else silence goes on from where the audio ends
		t.end = max(t.end, at)
	}
	t.fresh = t.heard
	t.begun, t.real = true, at-ahead
	t.restart()
	t.seen = false
}

// Reach notes that audio reaches to end: frames that were placed without Audio, such as filler.
func (t *Track) Reach(end time.Duration) {
	if end > t.end {
		t.begun, t.heard, t.end = true, true, end
		t.restart()
	}
}

// End returns where the audio ends, and whether it has begun.
func (t *Track) End() (time.Duration, bool) { return t.end, t.begun }

// restart has the next silent frame begin a run of its own.
func (t *Track) restart() { t.from, t.count = t.end, 0 }

// Video notes a video packet at dts and returns the silence that it makes due, which belongs
// before it. The result is valid until the next call.
func (t *Track) Video(dts time.Duration) []*packetbuf.Packet {
	was, step, seen := t.video, t.step, t.seen
	if !seen || dts > t.video {
		t.video, t.seen = dts, true
	}
	if !seen {
		return nil
	}
	if t.step = dts - was; t.step > max(pause, 3*step) {
		if resumed := min(t.end+t.step-step, dts-t.spread.learned()); t.begun && resumed > t.end {
			t.end = resumed // a hole in both tracks is none of the audio alone
			t.restart()
		}
		return nil
	}
	t.step = max(t.step, 0)
	return t.Fill(dts - t.spread.learned() - Margin - t.Slack)
}

// Fill returns the silence that ends at to or before.
func (t *Track) Fill(to time.Duration) []*packetbuf.Packet {
	t.out = t.out[:0]
	if t.frame == nil || !t.begun {
		return nil
	}
	if to-t.end > longest {
		t.end = to - longest
		t.restart()
	}
	for t.from+t.length(t.count+1) <= to {
		t.out = append(t.out, &packetbuf.Packet{
			Track: packetbuf.Audio, Codec: t.codec, Kind: packetbuf.Delta, Flags: packetbuf.Filler,
			DTS: (t.from + t.length(t.count)).Truncate(time.Millisecond), Payload: t.frame,
		})
		t.count++
		t.end, t.made = t.from+t.length(t.count), true
	}
	return t.out
}

// length returns how long n silent frames last. Counting from the start of a run keeps rounding
// from adding up.
func (t *Track) length(n int64) time.Duration {
	return time.Duration(n * t.samples * int64(time.Second) / t.rate)
}

// Late reports whether audio that belongs at dts lies within silence that was made. Its lateness
// is learned, so that a publisher whose audio is always as late loses no more of it. What stands
// before real audio that has come is not late: its clock has started anew.
func (t *Track) Late(dts time.Duration) bool {
	if !t.made || dts >= t.end-rounding || dts <= t.real {
		return false
	}
	t.real = dts
	t.learn(dts)
	return true
}

// Audio notes a real audio frame and returns the silence that belongs before it: the hole that
// the frame proves. The frame has its DTS on the stream's clock and is not late. The result is
// valid until the next call.
func (t *Track) Audio(p *packetbuf.Packet) []*packetbuf.Packet {
	t.learn(p.DTS)
	var out []*packetbuf.Packet
	switch hole := p.DTS - t.end; {
	case !t.begun:
	case t.seen && p.DTS-t.video > max(pause, 3*t.step): // video has paused too
	case t.frame == nil:
	case hole > short, (t.made || t.fresh) && hole > 0:
		// Players that play on over a hole, or over frames that overlap, keep their audio as much
		// too early or too late: where sessions meet, that is half a frame at the most.
		out = t.Fill(p.DTS + max(t.length(1)/2, rounding))
	}
	own := t.duration(p)
	if batch := t.begun && p.DTS+own/2 < t.end; batch {
		t.end = min(t.end, p.DTS+credit) + own
	} else {
		t.end = p.DTS + own
	}
	t.begun, t.heard, t.made, t.fresh, t.real = true, true, false, false, p.DTS
	t.restart()
	return out
}

func (t *Track) learn(dts time.Duration) {
	if t.seen {
		t.spread.add(t.video, t.video-dts)
	}
}

// duration returns how long a real frame lasts.
func (t *Track) duration(p *packetbuf.Packet) time.Duration {
	of := p
	if p.Codec == packetbuf.AAC {
		of = t.config
	}
	if samples, rate := codec.AudioFrameDuration(of); rate > 0 {
		return time.Duration(int64(samples) * int64(time.Second) / int64(rate))
	}
	return 0
}
