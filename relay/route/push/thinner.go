package push

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

const (
	// recoveryTime is how long video is dropped after a reference frame was dropped, in a stream
	// without further keyframes. Such a stream uses intra refresh, so its decoders recover by
	// themselves.
	recoveryTime = 10 * time.Second
	// endlessGOP is the length from which a GOP is assumed to have no end. By default, x264 ends a GOP
	// after 250 frames.
	endlessGOP = 30 * time.Second
)

// thinner drops the packets that a rung excludes, in such a way that the rest can be decoded. Only
// one goroutine may use it.
type thinner struct {
	rung   policy.Rung
	share  float64 // used on the rung Trim
	skipTo uint64  // frames before this sequence number are dropped

	dropping      bool          // a reference frame was dropped
	droppingSince time.Duration // DTS of that frame
	keySent       bool          // a keyframe was sent
	gopStart      time.Duration // DTS of the first frame of this GOP
	gopStarted    bool          // gopStart is set
	gopSize       int           // bytes of delta frames in this GOP so far
	previousSize  int           // bytes of delta frames in the previous GOP; 0: unknown
	keptSize      int           // bytes of gopSize that were kept
}

// keep reports whether to send p. It must be called once for each packet, in order.
func (t *thinner) keep(p *packetbuf.Packet) bool {
	if p.Track != packetbuf.Video || p.Kind == packetbuf.Config {
		return true
	}
	switch p.Kind {
	case packetbuf.Key:
		return t.keepKey(p)
	case packetbuf.Disposable:
		return !t.dropping && t.rung < policy.DropDisposable && p.Seq >= t.skipTo
	}
	t.gopSize += len(p.Payload)
	if !t.gopStarted {
		t.gopStart, t.gopStarted = p.DTS, true
	}
	if t.dropping && t.recovers(p) {
		t.dropping = false
	}
	if t.dropping {
		return false
	}
	if t.drops(p) {
		t.dropping, t.droppingSince = true, p.DTS
		return false
	}
	t.keptSize += len(p.Payload)
	return true
}

func (t *thinner) keepKey(p *packetbuf.Packet) bool {
	if t.gopSize > 0 {
		t.previousSize = t.gopSize
	}
	t.gopSize, t.keptSize, t.gopStart, t.gopStarted = 0, 0, p.DTS, true
	t.dropping = t.rung == policy.Audio || p.Seq < t.skipTo
	t.droppingSince = p.DTS
	t.keySent = t.keySent || !t.dropping
	return !t.dropping
}

// recovers reports whether to send a frame although an earlier reference frame was dropped: by then,
// a decoder that has received a keyframe has recovered.
func (t *thinner) recovers(p *packetbuf.Packet) bool {
	return t.keySent && t.rung < policy.Keyframes && p.Seq >= t.skipTo &&
		p.DTS-t.droppingSince > recoveryTime && p.DTS-t.gopStart > endlessGOP
}

// recordLoss records a packet that was dropped for another reason. It is called instead of keep.
func (t *thinner) recordLoss(p *packetbuf.Packet) {
	if p.Track == packetbuf.Video && (p.Kind == packetbuf.Key || p.Kind == packetbuf.Delta) {
		t.dropping, t.droppingSince = true, p.DTS
	}
}

// drops reports whether to drop a reference frame although it is still decodable.
func (t *thinner) drops(p *packetbuf.Packet) bool {
	switch {
	case p.Seq < t.skipTo, t.rung >= policy.Keyframes:
		return true
	case t.rung == policy.Trim:
		// The size of the first GOP is unknown, so it is sent whole.
		return t.previousSize > 0 && float64(t.keptSize+len(p.Payload)) > t.share*float64(t.previousSize)
	}
	return false
}
