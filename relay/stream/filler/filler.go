// Package filler determines what viewers of a held stream are sent in the place of its publisher:
// the last video frame again and again, or a slate, and silence without a gap.
//
// The package is pure. The positions that it is given are on the stream's clock; the packets that
// are due come back as values, which the stream gives its epoch and appends to its ring.
package filler

import (
	"iter"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Every is the interval at which Due is to be called while a stream is held.
const Every = 40 * time.Millisecond

// apart is how far behind the other a track may end and still be filled from its end. A track that
// ended earlier is filled from where the stream is.
const apart = time.Second

// A hang is noticed a second or more after the last frame. Players that buffer less have run dry
// by then, and those that never catch up would be later for good by all the audio that covers that
// time.
const (
	// overdueAfter is the age from which audio is thinned for such players when it is made.
	overdueAfter = 200 * time.Millisecond
	// overdueSpacing bounds the distance between two frames of older audio that all viewers get.
	overdueSpacing = 99 * time.Millisecond
	// overdueDelay is how much later such a frame stands than by counting. Players that close a
	// hole of three frames (mpegts.js, flv.js) would otherwise round the hole down, play on over it,
	// and keep their audio early.
	overdueDelay = time.Millisecond
)

// Held describes a stream at the moment from which it is held.
type Held struct {
	// Slate is played instead of the last frame where it fits; nil: there is none.
	Slate *Slate
	// Configs are the configurations that viewers have.
	Configs packetbuf.Configs
	// Keyframe is the newest keyframe; nil: the stream has no video.
	Keyframe *packetbuf.Packet
	// LastVideo and LastAudio are the newest DTS of each track, 0 for a track without media.
	LastVideo, LastAudio time.Duration
	// HasAudio tells that audio has come.
	HasAudio bool
	// VideoStep is the time between the newest two video frames; 0: unknown.
	VideoStep time.Duration
	// AudioClock is where the stream's clock stands for audio.
	AudioClock time.Duration
	// Media yields the media of the last session that the buffer still has, without bridged audio.
	Media iter.Seq[*packetbuf.Packet]
	// Stalled tells that viewers got nothing for some time before the stream was held, as after a
	// silence of the publisher.
	Stalled bool
}

// Packet is a packet of filler. It has neither an epoch nor a time of arrival.
type Packet struct {
	*packetbuf.Packet
	// StartsSlate marks the first packet of a slate, which may be a configuration. To viewers a
	// slate is a session of its own.
	StartsSlate bool
}

// Filler keeps one held stream going. It is used from one goroutine at a time.
type Filler struct {
	freeze  freezeFrame
	slate   *slatePlayer // nil: none is played
	fault   error        // why a configured slate is not played
	padding padding
	silence silence
	last    [packetbuf.NumTracks]time.Duration // the newest DTS of each track
	held    time.Duration                      // since the stream is held, in the current call of Due
	out     []Packet
}

// New returns the filler for a stream that is held from now on.
func New(h Held) *Filler {
	f := &Filler{padding: newPadding(sessionRate(h.Media))}
	f.last[packetbuf.Video], f.last[packetbuf.Audio] = h.LastVideo, h.LastAudio
	newest := max(h.LastVideo, h.LastAudio)
	f.slate, f.fault = newSlatePlayer(h, newest)
	if f.slate == nil {
		f.freeze = newFreezeFrame(h, max(h.LastVideo, newest-apart))
	}
	if h.HasAudio && (f.slate == nil || f.slate.mute) {
		f.silence = newSilence(h, newest-apart)
	}
	return f
}

// SlateFault returns why the configured slate is not played; nil if it is, or none is configured.
func (f *Filler) SlateFault() error { return f.fault }

// Silent reports whether silence is made.
func (f *Filler) Silent() bool { return f.silence.frame != nil }

// Freezes reports whether the video frames that Due returns are made ones. A decoder that has seen
// one can go on only at an IDR frame.
func (f *Filler) Freezes() bool { return f.freeze.freezer != nil }

// Due returns what is due in the order of its times: video shown before video and silence that ends
// before audio, both positions on the stream's clock. held is the time since the stream is held.
// The result is valid until the next call.
func (f *Filler) Due(held, video, audio time.Duration) []Packet {
	f.held = held
	clear(f.out)
	f.out = f.out[:0]
	for {
		silence, silenceDue := f.silence.next(audio)
		videoDue, next := f.freeze.due(video), f.freeze.next
		if f.slate != nil {
			videoDue, next = f.slate.due(video), f.slate.dts()
		}
		switch {
		case videoDue && (!silenceDue || next <= silence) && f.slate != nil:
			f.addSlate()
		case videoDue && (!silenceDue || next <= silence):
			f.addFrame()
		case silenceDue:
			f.add(f.silence.take())
		default:
			return f.out
		}
	}
}

// add adds p to what is due, unless its track already reaches further.
func (f *Filler) add(p *packetbuf.Packet) {
	if p.DTS <= f.last[p.Track] {
		return
	}
	p.Flags |= packetbuf.Filler
	if p.Track == packetbuf.Audio {
		f.silence.thin(p)
	}
	f.last[p.Track] = p.DTS
	if p.Flags&packetbuf.Repeat == 0 {
		p.Padding = f.padding.before(f.held, len(p.Payload))
	}
	f.out = append(f.out, Packet{Packet: p})
}
