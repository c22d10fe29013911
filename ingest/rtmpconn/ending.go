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

// errProtocol is wrapped by the errors about a peer that violates the protocol.
var errProtocol = errors.New("protocol violation")

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// errRefused ends reading after the peer has been told why it is refused.
var errRefused = errors.New("refused")

// errPanic stands for a panic, which the log has with its stack.
var errPanic = errors.New("internal error")

// ending is why a connection ends.
type ending struct {
	cause  ingest.Cause
	reason string // for the peer and the log
	gone   bool   // nothing can be sent to the peer any more
	told   bool   // the peer knows the reason
}

// IsViolation reports whether err says that a peer has violated the protocol, or a bound of
// package packetbuf/rtmp.
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

// endingOf returns how a connection ends after an error of reading or writing.
func endingOf(err error) ending {
	var ne net.Error
	switch {
	case IsViolation(err):
		return ending{cause: ingest.Protocol, reason: err.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// A peer that has only shut down its direction could still read, but one that has
		// closed answers with a reset, and neither waits for an answer.
		return ending{cause: ingest.EOF, reason: "closed without an unpublish", gone: true}
	case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &ne) && ne.Timeout():
		return ending{cause: ingest.Timeout, reason: err.Error(), gone: true}
	}
	return ending{cause: ingest.Reset, reason: err.Error(), gone: true}
}
