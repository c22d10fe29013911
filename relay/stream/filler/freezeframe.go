package filler

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// frameEvery is the interval at which the last frame is repeated by a made one.
	frameEvery = 200 * time.Millisecond
	// prompt is how many of the first made frames follow at the publisher's own interval: a decoder
	// that reorders frames shows the last real ones only with them.
	prompt = 3
	// keyframeEvery is the interval at which the newest keyframe is repeated where no frame can be
	// made. It is longer where the stream would otherwise take more than it did live. The first
	// repeat is as long after the last frame, so that a short break shows nothing of it.
	keyframeEvery = time.Second
	// repeatEvery is the interval at which the frames that lead to the last one are repeated for
	// viewers who join.
	repeatEvery = 5 * time.Second
	// repeatMost bounds the number of those frames: they stand a millisecond apart.
	repeatMost = 900
)

// freezeFrame shows the last frame while a stream is held. The zero value shows none.
type freezeFrame struct {
	keyframe *packetbuf.Packet // the newest; nil: there is none
	freezer  *codec.Freezer    // nil: the newest keyframe is repeated
	next     time.Duration     // DTS of the next frame; 0: there is none
	step     time.Duration     // between the publisher's frames
	every    time.Duration
	cto      time.Duration
	// gop is what the last frame is decoded from, from its keyframe on; nil where that is gone.
	gop      []*packetbuf.Packet
	repeatAt time.Duration // when gop is due once more
	// restart makes that repeat one for viewers who have had gop as well.
	restart bool
	// repeatAfter is the made frame behind which the repeat is going to stand; 0: none is due.
	repeatAfter time.Duration
	made        [][]byte // the made frames that the repeat ends with
}

// newFreezeFrame returns the freeze frame of a held stream whose last frame counts as standing at
// last.
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
			// A player that buffers less than the stall restarts its decoder with what comes now, and
			// then has no reference for made frames.
			v.repeatAt, v.restart = last, true
		}
	}
	return v
}

// follow shows the freezer all video of the session, and returns the interval at which the newest
// keyframe can be repeated without exceeding the session's own rate.
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

// due reports whether the next frame is shown before a position on the stream's clock.
func (v *freezeFrame) due(video time.Duration) bool {
	return v.next > 0 && v.next+v.cto <= video
}

// addFrame adds the last frame once more.
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
	if v.repeatAfter > 0 { // not before its place has passed: the publisher may come back
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

// addRepeat adds the frames that lead to the last one behind the made frame that stands at last:
// the keyframe and what follows it, and as many of the made frames as a decoder has to see. Viewers
// who have had all that skip it.
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
