package audio

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// renewEvery is the interval at which a bridge is asked for again while a viewer needs it. A
	// tenth less also counts: the timer that asks is not exact.
	renewEvery = time.Second
	// ahead is how far before all media bridged audio may stand. An encoder makes it a little later
	// than its source.
	ahead = time.Second
)

// Bridge is what a stream knows of the bridged audio beside its own: who needs it, and what has
// come.
type Bridge struct {
	viewers map[Codecs]int    // by the codecs that they accept, without those that accept any
	source  packetbuf.Codec   // of the publisher's audio
	config  *packetbuf.Packet // in force
	begun   bool
	last    time.Duration // DTS of the newest frame
	asked   time.Time     // when a bridge was last asked for
}

// NewBridge returns a Bridge without viewers and without audio.
func NewBridge() Bridge { return Bridge{viewers: map[Codecs]int{}} }

// AddViewers counts n more viewers, or fewer, that accept some codecs.
func (b *Bridge) AddViewers(accepts Codecs, n int) {
	if accepts == 0 {
		return
	}
	b.viewers[accepts] += n
	if b.viewers[accepts] == 0 {
		delete(b.viewers, accepts)
	}
}

// Viewers returns how many viewers accept just those codecs. Viewers that accept any are not
// counted.
func (b *Bridge) Viewers(accepts Codecs) int { return b.viewers[accepts] }

// Source returns the codec of the publisher's audio; NoCodec if there is none.
func (b *Bridge) Source() packetbuf.Codec { return b.source }

// Target returns the codec to which the publisher's audio is bridged; NoCodec if there is none.
func (b *Bridge) Target() packetbuf.Codec { return BridgeTarget(b.source) }

// SetSource sets the codec of the publisher's audio. It reports whether that is another one, and
// whether the bridged audio so far is no longer in force: a bridge may convert two codecs to one.
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

// RenewDue reports whether it is time to ask for a bridge again, if one is needed.
func (b *Bridge) RenewDue(now time.Time) bool {
	return now.Sub(b.asked) >= renewEvery-renewEvery/10
}

// Asked notes that a bridge was asked for.
func (b *Bridge) Asked(now time.Time) { b.asked = now }

// Place is where bridged audio may stand.
type Place struct {
	Oldest time.Duration  // DTS of the oldest packet of the stream's buffer
	Newest time.Duration  // DTS of the newest media of the stream's own
	Kind   packetbuf.Kind // of a frame of audio
}

// Decision is what becomes of a packet of bridged audio.
type Decision uint8

const (
	// Refuse is of a packet that is not made of the publisher's audio as it is now, or of a frame
	// whose configuration has not come.
	Refuse Decision = iota
	// Known is of a configuration that is in force already.
	Known
	// Discard is of a frame that stands before what the stream has, too far ahead of it, or not
	// behind the frame before it.
	Discard
	// Append is of a packet that goes to the viewers.
	Append
)

func (d Decision) String() string {
	return [...]string{"refuse", "known", "discard", "append"}[d]
}

// Take decides on a packet of bridged audio. It sets the time of a packet that is to be appended,
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
