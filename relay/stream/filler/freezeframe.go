package filler

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// frameEvery is the interval at which a generated frame repeats the last frame.
	frameEvery = 200 * time.Millisecond
	// prompt is the number of generated frames at the start that follow at the publisher's own frame
	// interval. A decoder that reorders frames outputs the last real ones only when it gets these.
	prompt = 3
	// keyframeEvery is the interval at which the newest keyframe is repeated if no frame can be
	// generated. It is longer if the stream's bitrate would otherwise exceed its live one. The first
	// repeat follows the last frame by the same interval, so that a short break shows no repeat.
	keyframeEvery = time.Second
	// repeatEvery is the interval at which the last GOP is repeated for viewers who join.
	repeatEvery = 5 * time.Second
	// repeatMost bounds the number of those frames, which are placed a millisecond apart.
	repeatMost = 900
)

// freezeFrame shows the last frame while a stream is held. The zero value shows nothing.
type freezeFrame struct {
	keyframe *packetbuf.Packet // the newest keyframe; nil: none exists
	freezer  *codec.Freezer    // nil: the newest keyframe is repeated
	next     time.Duration     // DTS of the next frame; 0: none
	step     time.Duration     // frame interval of the publisher
	every    time.Duration
	cto      time.Duration
	// gop is the frames needed to decode the last frame, from its keyframe on; nil if the buffer has
	// lost them.
	gop      []*packetbuf.Packet
	repeatAt time.Duration // when the next repeat of gop is due
	// restart reports whether viewers that already received gop get the next repeat as well.
	restart bool
	// repeatAfter is the DTS of the generated frame after which the repeat is placed; 0: none is due.
	repeatAfter time.Duration
	made        [][]byte // the generated frames at the end of the repeat
}

// newFreezeFrame returns the freeze frame of a held stream. last is the DTS that is assumed for its
// last frame.
func newFreezeFrame(h Held, last time.Duration) freezeFrame {
	v := freezeFrame{keyframe: h.Keyframe, every: keyframeEvery, step: h.VideoStep}
	if v.step <= 0 || v.step > frameEvery {
		v.step = keyframeEvery / 25
	}
	if v.keyframe == nil {
		return v
	}
	v.cto = v.keyframe.CTO
	if cfg := h.Configs[packetbuf.Video]; cfg != nil && cfg.Codec == packetbuf.H264 {
		if c, err := codec.ParseAVCConfig(cfg.Payload); err == nil {
			v.freezer = codec.NewFreezer(c)
		}
	}
	v.every = max(keyframeEvery, v.follow(h))
	if v.freezer != nil && v.freezer.Ready() != nil {
		v.freezer = nil
	}
	v.next, v.repeatAt = last+v.every, last+repeatEvery
	if v.freezer != nil {
		v.every, v.next = frameEvery, last+v.step
		if h.Stalled {
			// A player that buffers less than the stall restarts its decoder with the next frames, and
			// then has no reference for generated frames.
			v.repeatAt, v.restart = last, true
		}
	}
	return v
}

// follow passes all video of the session to the freezer. It returns the interval at which the newest
// keyframe can be repeated without exceeding the session's own bitrate.
func (v *freezeFrame) follow(h Held) time.Duration {
	var first, newest *packetbuf.Packet
	var shown time.Duration
	bytes := 0
	for p := range h.Media {
		if p.Track != packetbuf.Video {
			continue
		}
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
	return time.Duration(float64(span) * float64(len(v.keyframe.Payload)) / float64(bytes)).Round(time.Millisecond)
}

// due reports whether the next frame has a PTS at or before position video of the stream's clock.
func (v *freezeFrame) due(video time.Duration) bool {
	return v.next > 0 && v.next+v.cto <= video
}

// addFrame adds one more repeat of the last frame.
func (f *Filler) addFrame() {
	v := &f.freeze
	if v.freezer == nil {
		k := v.keyframe
		f.add(&packetbuf.Packet{
			Track: packetbuf.Video, Codec: k.Codec, Kind: packetbuf.Key, Payload: k.Payload, DTS: v.next, CTO: k.CTO,
		})
		v.next += v.every
		return
	}
	if v.repeatAfter > 0 { // not before its time has passed: the publisher may return
		f.addRepeat(v.repeatAfter)
		v.repeatAfter = 0
	}
	f.add(v.frame(v.next, v.freezer.Next(), packetbuf.Delta))
	if v.freezer.Count() < prompt {
		v.next += v.step
		return
	}
	room := v.every
	if v.next >= v.repeatAt {
		v.repeatAt += repeatEvery
		if v.made = v.freezer.Way(); len(v.gop) > 0 && len(v.gop)+len(v.made) <= repeatMost {
			v.repeatAfter, room = v.next, max(room, time.Duration(len(v.gop)+len(v.made)+1)*time.Millisecond)
		}
	}
	v.next += room
}

func (v *freezeFrame) frame(dts time.Duration, au []byte, kind packetbuf.Kind) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: kind, Payload: au, DTS: dts, CTO: v.cto}
}

// addRepeat adds a repeat of the last GOP after the generated frame with DTS last: the keyframe and
// the frames after it, and as many of the generated frames as a decoder needs. Viewers who already
// had all of these skip the repeat.
func (f *Filler) addRepeat(last time.Duration) {
	v := &f.freeze
	shown := slices.SortedFunc(slices.Values(v.gop), func(a, b *packetbuf.Packet) int { return cmp.Compare(a.PTS(), b.PTS()) })
	place := make(map[*packetbuf.Packet]time.Duration, len(shown))
	for i, p := range shown {
		place[p] = last + time.Duration(i+1)*time.Millisecond + v.cto
	}
	flags := packetbuf.Repeat
	if v.restart {
		flags |= packetbuf.Restart
		v.restart = false
	}
	for _, g := range v.gop {
		last += time.Millisecond
		p := v.frame(last, g.Payload, g.Kind)
		p.CTO, p.Flags = max(0, place[g]-last), flags
		f.add(p)
	}
	for _, au := range v.made {
		last += time.Millisecond
		p := v.frame(last, au, packetbuf.Delta)
		p.Flags = flags
		f.add(p)
	}
}
