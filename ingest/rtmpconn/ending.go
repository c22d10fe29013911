package rtmpconn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// errProtocol is wrapped by errors about a peer that violates the protocol.
var errProtocol = errors.New("protocol violation")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// errRefused ends reading after a peer was told why it is refused.
var errRefused = errors.New("refused")

// errPanic replaces a panic, which is logged with its stack.
var errPanic = errors.New("internal error")

// ending is the reason why a connection ends.
type ending struct {
	cause  ingest.Cause
	reason string // for the peer and the log
	gone   bool   // nothing more can be sent to the peer
	told   bool   // the peer was told the reason
}

// IsViolation reports whether err means that a peer has violated the protocol or exceeded a limit
// of package packetbuf/rtmp.
func IsViolation(err error) bool {
	for _, is := range []error{
		errProtocol, ErrNotRTMP, wire.ErrTooLarge, wire.ErrTooMany, wire.ErrBuffered,
		wire.ErrBadChunk, wire.ErrBadControl, wire.ErrBadAMF, wire.ErrBadAggregate,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// endingOf returns the reason why a connection ends after a read or write error.
func endingOf(err error) ending {
	var ne net.Error
	switch {
	case IsViolation(err):
		return ending{cause: ingest.Protocol, reason: err.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// A peer that has shut down only its own direction could still read. But a peer that has
		// closed the connection would answer with a reset. Neither of them waits for a message.
		return ending{cause: ingest.EOF, reason: "closed without an unpublish", gone: true}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &ne) && ne.Timeout():
		return ending{cause: ingest.Timeout, reason: err.Error(), gone: true}
	}
	return ending{cause: ingest.Reset, reason: err.Error(), gone: true}
}
