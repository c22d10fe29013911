package audio

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// renewEvery is the interval at which a bridge is requested again while a viewer needs it. A
	// tenth less is also accepted, because the timer that requests it is not exact.
	renewEvery = time.Second
	// ahead is how far the DTS of bridged audio may exceed that of the stream's newest media. An
	// encoder sends bridged audio a little later than its source.
	ahead = time.Second
)

// Bridge is what a stream knows of bridged audio, the publisher's audio converted to another codec:
// which viewers need it, and what has arrived of it.
type Bridge struct {
	viewers map[Codecs]int    // by accepted codecs; viewers that accept any codec are not counted
	source  packetbuf.Codec   // codec of the publisher's audio
	config  *packetbuf.Packet // in force
	begun   bool
	last    time.Duration // DTS of the newest frame
	asked   time.Time     // when a bridge was last requested
}

// NewBridge returns a Bridge without viewers and without audio.
func NewBridge() Bridge { return Bridge{viewers: map[Codecs]int{}} }

// AddViewers adds n, which may be negative, to the number of viewers with this set of accepted
// codecs.
func (b *Bridge) AddViewers(accepts Codecs, n int) {
	if accepts == 0 {
		return
	}
	b.viewers[accepts] += n
	if b.viewers[accepts] == 0 {
		delete(b.viewers, accepts)
	}
}

// Viewers returns the number of viewers with exactly this set of accepted codecs. Viewers that
// accept any codec are not counted.
func (b *Bridge) Viewers(accepts Codecs) int { return b.viewers[accepts] }

// Source returns the codec of the publisher's audio; NoCodec if there is none.
func (b *Bridge) Source() packetbuf.Codec { return b.source }

// Target returns the codec to which the publisher's audio is bridged; NoCodec if there is none.
func (b *Bridge) Target() packetbuf.Codec { return BridgeTarget(b.source) }

// SetSource sets the codec of the publisher's audio. changed reports whether the codec is a new one.
// obsolete reports whether the bridged audio received so far is no longer valid; two source codecs
// may be converted to the same target.
func (b *Bridge) SetSource(source packetbuf.Codec) (changed, obsolete bool) {
	if b.source == source {
		return false, false
	}
	if obsolete = BridgeTarget(b.source) != BridgeTarget(source); obsolete {
		b.config = nil
	}
	b.source = source
	return true, obsolete
}

// Needed reports whether a viewer needs bridged audio.
func (b *Bridge) Needed() bool {
	for accepts := range b.viewers {
		if accepts.NeedBridge(b.source) {
			return true
		}
	}
	return false
}

// RenewDue reports whether a bridge, if one is needed, should be requested again.
func (b *Bridge) RenewDue(now time.Time) bool {
	return now.Sub(b.asked) >= renewEvery-renewEvery/10
}

// Asked records that a bridge was requested at time now.
func (b *Bridge) Asked(now time.Time) { b.asked = now }

// Place is the range of the stream's clock in which bridged audio is accepted.
type Place struct {
	Oldest time.Duration  // DTS of the oldest packet of the stream's buffer
	Newest time.Duration  // DTS of the stream's newest media other than bridged audio
	Kind   packetbuf.Kind // kind to set for an audio frame
}

// Decision says what to do with a packet of bridged audio.
type Decision uint8

const (
	// Refuse rejects a packet that was not made from the publisher's audio in its current codec, or a
	// frame whose configuration has not arrived.
	Refuse Decision = iota
	// Known ignores a configuration that is already in force.
	Known
	// Discard drops a frame that is older than the stream's buffer, too far ahead of the stream's
	// newest media, or not later than the previous frame.
	Discard
	// Append sends a packet to the viewers.
	Append
)

func (d Decision) String() string {
	return [...]string{"refuse", "known", "discard", "append"}[d]
}

// Take decides on a packet of bridged audio. If the packet is to be appended, Take sets its times,
// and the kind of a frame.
func (b *Bridge) Take(p *packetbuf.Packet, at Place) Decision {
	if p.Track != packetbuf.Audio || p.Codec == packetbuf.NoCodec || p.Codec != b.Target() {
		return Refuse
	}
	if p.Kind == packetbuf.Config {
		if b.config != nil && b.config.Codec == p.Codec && bytes.Equal(b.config.Payload, p.Payload) {
			return Known
		}
		p.DTS, b.config = at.Newest, p
		return Append
	}
	if b.config == nil {
		return Refuse
	}
	p.DTS, p.Kind = p.DTS.Round(time.Millisecond), at.Kind
	if p.DTS < at.Oldest || p.DTS > at.Newest+ahead || p.DTS < 0 || b.begun && p.DTS <= b.last {
		return Discard
	}
	b.begun, b.last = true, p.DTS
	return Append
}
