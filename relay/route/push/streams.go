// Package push sends a stream, or one of its renditions, over one connection. It can drop part of
// the frames, depending on the rung of the quality ladder.
package push

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// Errors that a Tap returns.
var (
	// ErrEnded reports that the stream has ended.
	ErrEnded = errors.New("the stream has ended")
	// ErrChanged reports that the stream continues with another codec, which requires a new connection.
	ErrChanged = errors.New("the stream has changed its codecs")
)

// Streams provides the streams of the relay.
type Streams interface {
	// Tap subscribes to a stream; see stream.Stream.Tap. It returns an error if the stream does not
	// exist or has ended. The error ends the push.
	Tap(name string, from uint64) (Tap, error)
	// Offers returns the streams that a push of the named stream can send: first the stream itself,
	// then its renditions.
	Offers(name string) []Offer
}

// Tap is a push's subscription to a stream.
type Tap interface {
	// Read waits for packets and returns them. They are valid until the next Read. It may return none.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	// NewestKey returns the sequence number of the newest random-access point, or 0 if there is none.
	NewestKey() uint64
	Close()
}

// Offer is a stream that a push can send.
type Offer struct {
	policy.Offer
	Stream string // name of the stream
	// Offset is how far the clock of a rendition is behind the clock of its source stream.
	Offset time.Duration
}

// Order specifies what a push sends.
type Order struct {
	Rung  policy.Rung
	Share float64 // fraction of each GOP to send on the rung Trim, 0 to 1
	Offer string  // the rendition to send; empty: the stream itself
	Skips int     // incremented to drop the queued video
}
