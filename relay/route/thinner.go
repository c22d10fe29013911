package route

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// healing is how long pictures stay away once one was left out that others need, unless a
// keyframe comes. A stream that refreshes its picture bit by bit has none: its decoders
// recover by themselves.
const healing = 10 * time.Second

// thinner leaves out of a stream what a rung says, so that the rest decodes. It is used by one
// goroutine.
type thinner struct {
	rung   policy.Rung
	share  float64 // of Trim
	skipTo uint64  // pictures before this sequence are left out

	dropping bool          // a picture that others need was left out
	since    time.Duration // DTS of that
	began    bool          // a keyframe has gone out
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
	if t.dropping && t.rung <= policy.DropDisposable && t.began && p.Seq >= t.skipTo && p.DTS-t.since > healing {
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
	t.gop, t.kept = 0, 0
	t.dropping = t.rung == policy.Audio || p.Seq < t.skipTo
	t.since = p.DTS
	t.began = t.began || !t.dropping
	return !t.dropping
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
