package rtmp

import (
	"context"
	"fmt"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// CodecError says that a stream's pictures are in a codec that the player does not take.
type CodecError struct{ Codec packetbuf.Codec }

func (e *CodecError) Error() string {
	return fmt.Sprintf("the stream is %s, which the player did not announce", e.Codec)
}

// Only yields a stream as long as its pictures are in a codec that takes accepts; then Read's
// error is a *CodecError. Sound is chosen at the join.
func Only(r egress.Reader, takes func(packetbuf.Codec) bool) egress.Reader { return &only{r, takes} }

type only struct {
	egress.Reader
	takes func(packetbuf.Codec) bool
}

// Skips returns how often the reader beneath has skipped; 0 where that does not count.
func (o *only) Skips() uint64 {
	if skips, ok := egress.Skips(o.Reader); ok {
		return skips()
	}
	return 0
}

func (o *only) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	packets, err := o.Reader.Read(ctx)
	for _, p := range packets {
		if p.Track == packetbuf.Video && !o.takes(p.Codec) {
			return nil, &CodecError{p.Codec}
		}
	}
	return packets, err
}
