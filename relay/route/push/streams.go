// Package push sends a stream over one connection: all of it, or as much as the ladder leaves, and from it
// or from one of its renditions.
package push

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// Errors of a Tap.
var (
	// ErrEnded says that the stream has ended.
	ErrEnded = errors.New("the stream has ended")
	// ErrChanged says that the stream goes on with another codec, for which a new connection is needed.
	ErrChanged = errors.New("the stream has changed its codecs")
)

// Streams are the relay's own streams.
type Streams interface {
	// Tap subscribes to a stream; see stream.Tap. The error of a stream that does not exist, or has
	// ended, ends the push.
	Tap(name string, from uint64) (Tap, error)
	// Offers returns what a push of the stream can carry: the stream itself first, then its renditions.
	Offers(name string) []Offer
}

// Tap is a push's subscription to a stream.
type Tap interface {
	// Read waits for packets and returns them, valid until the next Read; at times none.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	// NewestKey returns the sequence number of the newest random-access point; 0: there is none.
	NewestKey() uint64
	Close()
}

// Offer is a stream that a push can carry.
type Offer struct {
	policy.Offer
	Stream string // its name
	// Offset is how far its clock is behind that of the stream that it is a rendition of.
	Offset time.Duration
}

// Order is what a push is to send.
type Order struct {
	Rung  policy.Rung
	Share float64 // of a GOP, with the rung Trim
	Offer string  // the rendition; empty: the stream itself
	Skips int     // is incremented to have the video that waits left out
}
