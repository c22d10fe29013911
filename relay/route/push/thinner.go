package push

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

const (
	// healing is how long pictures stay away once one was left out that others need, where no
	// keyframe is going to come. A stream that refreshes its picture bit by bit has none: its
	// decoders recover by themselves.
	healing = 10 * time.Second
	// endless is how long a GOP lasts that is taken for one without an end: x264 ends one after
	// 250 pictures unless it is told otherwise.
	endless = 30 * time.Second
)

// thinner leaves out of a stream what a rung says, so that the rest decodes. It is used by one
// goroutine.
type thinner struct {
	rung   policy.Rung
	share  float64 // of Trim
	skipTo uint64  // pictures before this sequence are left out

	dropping bool          // a picture that others need was left out
	since    time.Duration // DTS of that
	began    bool          // a keyframe has gone out
	start    time.Duration // DTS of the first picture of this GOP
	started  bool          // there was one
	gop      int           // bytes of deltas in this GOP so far
	whole    int           // and in the one before, 0 while unknown
	kept     int           // of gop, bytes that went out
}

// keep tells whether p goes out. It is to be asked once for each packet, in order.
func (t *thinner) keep(p *packetbuf.Packet) bool {
	if p.Track != packetbuf.Video || p.Kind == packetbuf.Config {
		return true
	}
	switch p.Kind {
	case packetbuf.Key:
		return t.key(p)
	case packetbuf.Disposable:
		return !t.dropping && t.rung < policy.DropDisposable && p.Seq >= t.skipTo
	}
	t.gop += len(p.Payload)
	if !t.started {
		t.start, t.started = p.DTS, true
	}
	if t.dropping && t.heals(p) {
		t.dropping = false
	}
	if t.dropping {
		return false
	}
	if t.leavesOut(p) {
		t.dropping, t.since = true, p.DTS
		return false
	}
	t.kept += len(p.Payload)
	return true
}

func (t *thinner) key(p *packetbuf.Packet) bool {
	if t.gop > 0 {
		t.whole = t.gop
	}
	t.gop, t.kept, t.start, t.started = 0, 0, p.DTS, true
	t.dropping = t.rung == policy.Audio || p.Seq < t.skipTo
	t.since = p.DTS
	t.began = t.began || !t.dropping
	return !t.dropping
}

// heals tells whether a picture goes out although one before it did not: a decoder that had a
// keyframe once has recovered since.
func (t *thinner) heals(p *packetbuf.Packet) bool {
	return t.began && t.rung < policy.Keyframes && p.Seq >= t.skipTo &&
		p.DTS-t.since > healing && p.DTS-t.start > endless
}

// miss is told of a packet that does not go out for another reason, instead of keep.
func (t *thinner) miss(p *packetbuf.Packet) {
	if p.Track == packetbuf.Video && (p.Kind == packetbuf.Key || p.Kind == packetbuf.Delta) {
		t.dropping, t.since = true, p.DTS
	}
}

// leavesOut tells whether a picture that others need, and that could be decoded, is left out.
func (t *thinner) leavesOut(p *packetbuf.Packet) bool {
	switch {
	case p.Seq < t.skipTo, t.rung >= policy.Keyframes:
		return true
	case t.rung == policy.Trim:
		// Of the first GOP nobody knows how long it gets: it goes out whole.
		return t.whole > 0 && float64(t.kept+len(p.Payload)) > t.share*float64(t.whole)
	}
	return false
}
