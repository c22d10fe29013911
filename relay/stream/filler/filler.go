// Package filler determines what viewers of a held stream are sent in place of its publisher's
// media: repeats of the last video frame, or a slate, and continuous silence.
//
// The package is pure. The positions passed to it are on the stream's clock. It returns the packets
// that are due; the stream sets their epoch and appends them to its ring.
package filler

import (
	"iter"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Every is the interval at which the stream calls Due during a hold.
const Every = 40 * time.Millisecond

// apart is how much earlier one track may end than the other and still be filled from its own end. A
// track that ended earlier is filled only from that long before the stream's newest media.
const apart = time.Second

// A hang is noticed a second or more after the last frame. Players that buffer less have run dry
// by then, and those that never catch up would be later for good by all the audio that covers that
// time.
const (
	// overdueAfter is the age from which audio is thinned for such players when it is made.
	overdueAfter = 200 * time.Millisecond
	// overdueSpacing bounds the distance between those frames of overdue audio that all viewers get.
	overdueSpacing = 99 * time.Millisecond
	// overdueDelay is added to the timestamp of such a frame. Players that close a gap of three frames
	// (mpegts.js, flv.js) would otherwise round the gap down, play on over it, and keep their audio
	// early.
	overdueDelay = time.Millisecond
)

// Held describes a stream at the moment from which it is held.
type Held struct {
	// Slate is played instead of the last frame if its format fits the stream; nil: no slate.
	Slate *Slate
	// Configs are the configurations that viewers have.
	Configs packetbuf.Configs
	// Keyframe is the newest keyframe; nil: the stream has no video.
	Keyframe *packetbuf.Packet
	// LastVideo and LastAudio are the newest DTS of each track, 0 for a track without media.
	LastVideo, LastAudio time.Duration
	// HasAudio reports whether audio has arrived.
	HasAudio bool
	// VideoStep is the time between the newest two video frames; 0: unknown.
	VideoStep time.Duration
	// AudioClock is the current reading of the stream's clock for audio.
	AudioClock time.Duration
	// Media yields the media of the last session that the buffer still has, without bridged audio.
	Media iter.Seq[*packetbuf.Packet]
	// Stalled reports whether viewers got nothing for some time before the hold began, as after a
	// silence of the publisher.
	Stalled bool
}

// Packet is a packet of filler. Neither its epoch nor its arrival time is set.
type Packet struct {
	*packetbuf.Packet
	// StartsSlate marks the first packet of a slate, which may be a configuration. To viewers a
	// slate is a session of its own.
	StartsSlate bool
}

// Filler generates the media of one stream during one hold. It is used from one goroutine at a time.
type Filler struct {
	freeze  freezeFrame
	slate   *slatePlayer // nil: no slate is played
	fault   error        // why the configured slate is not played; nil: it is, or none is configured
	padding padding
	silence silence
	last    [packetbuf.NumTracks]time.Duration // the newest DTS of each track
	held    time.Duration                      // duration of the hold, in the current call of Due
	out     []Packet
}

// New returns the filler for a stream whose hold begins now.
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

// Silent reports whether silent audio is generated.
func (f *Filler) Silent() bool { return f.silence.frame != nil }

// Freezes reports whether the video frames that Due returns are generated freeze frames. After one
// of these a decoder can continue only at an IDR frame.
func (f *Filler) Freezes() bool { return f.freeze.freezer != nil }

// Due returns the packets that are due, ordered by DTS: video with a PTS before position video, and
// silence that ends before position audio, both on the stream's clock. held is the duration of the
// hold so far. The result is valid until the next call.
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

// add appends p to the packets that are due, unless its track already has media at or after the DTS
// of p.
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
