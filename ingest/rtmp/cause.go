package rtmp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// errProtocol is the kind of all errors of a peer that breaks the rules.
var errProtocol = errors.New("protocol violation")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// ending is why a connection ends.
type ending struct {
	cause  ingest.Cause
	reason string // for the peer and the log
	gone   bool   // the peer cannot be spoken to any more
	said   bool   // the peer has been told
}

// endingOf tells what an error of reading or writing means.
func endingOf(err error) ending {
	var ne net.Error
	switch {
	case errors.Is(err, errProtocol), errors.Is(err, wire.ErrTooLarge), errors.Is(err, wire.ErrTooMany),
		errors.Is(err, wire.ErrBuffered), errors.Is(err, wire.ErrBadChunk), errors.Is(err, wire.ErrBadControl),
		errors.Is(err, wire.ErrBadAMF), errors.Is(err, wire.ErrBadAggregate):
		return ending{cause: ingest.Protocol, reason: err.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// A half-closed connection may still be spoken to, but a peer that closed
		// answers with a reset; there is nothing left to say to it.
		return ending{cause: ingest.EOF, reason: "closed without an unpublish", gone: true}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &ne) && ne.Timeout():
		return ending{cause: ingest.Timeout, reason: err.Error(), gone: true}
	}
	return ending{cause: ingest.Reset, reason: err.Error(), gone: true}
}
