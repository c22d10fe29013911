package egress

import (
	"context"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Resume is a viewer's wish to go on where it was cut off.
type Resume struct {
	Token string // of its session; a secret
	// Track and DTS are those of the last packet of media that it has received whole; of the DTS
	// the low 32 bits of the milliseconds are enough. A negative DTS is none.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is that packet's sequence, where the protocol has it; 0: Track and DTS tell.
	Seq uint64
}

// Resumed is what became of that wish. The values are those of Holdfast-Resume.
type Resumed string

const (
	// Exact goes on with the very next packet.
	Exact Resumed = "exact"
	// Keyframe begins afresh at the newest keyframe.
	Keyframe Resumed = "keyframe"
	// None is what who had no such wish gets.
	None Resumed = "none"
)

// Session is what a viewer is told of its place, so that it may come back to it.
type Session struct {
	Token   string // a secret
	Resumed Resumed
}

// Sessions gives viewers places to which they may come back. A refusal is an *ingest.Refusal,
// wherever it comes from.
type Sessions interface {
	// Enter is Streams.Play for a viewer that may have been there before: with Request.Resume it
	// goes on there if it can.
	Enter(ctx context.Context, r Request) (Place, Session, error)
}
