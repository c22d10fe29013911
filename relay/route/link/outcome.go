package link

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/qos"
)

// Timing is the duration of each phase of a dial that was started, summed over all addresses that
// were tried.
type Timing map[qos.Phase]time.Duration

func (t Timing) clone() Timing { return maps.Clone(t) }

// Classify returns the outcome of a dial or a probe that ended with err.
func Classify(err error) qos.Outcome {
	var r *Rejection
	var unsupported *flv.UnsupportedError
	switch {
	case err == nil:
		return qos.DialOK
	case errors.Is(err, ErrURL), errors.As(err, &unsupported), errors.As(err, &r) && !r.Retry():
		return qos.DialDenied
	case r != nil, errors.Is(err, ErrUnpublished): // the stream has ended at the origin
		return qos.DialRejected
	case timedOut(err):
		return qos.DialTimeout
	}
	return qos.DialFailed
}

// Retry reports whether a connection that ended with err may succeed at another time.
func Retry(err error) bool { return Classify(err) != qos.DialDenied }

// Attempt returns the history entry of a dial or a probe that ended at time at. If err is nil, its
// timing is timing, otherwise that of the error.
func Attempt(at time.Time, probe bool, timing Timing, err error) qos.Attempt {
	a := qos.Attempt{At: at, Probe: probe, Outcome: Classify(err), Phase: qos.PhaseRunning, Took: maps.Clone(timing)}
	if err == nil {
		return a
	}
	a.Detail = err.Error()
	a.Phase = qos.PhaseDNS // the phase of a URL that was never dialed
	var failed *PhaseError
	if errors.As(err, &failed) {
		a.Phase, a.Took = failed.Phase, maps.Clone(failed.Timing)
	}
	return a
}

// Ending is how an established connection has ended. A value that exists in ingest.Cause too has the
// same meaning there.
type Ending string

// The endings.
const (
	EndedUnpublish Ending = "unpublish" // the peer ended the stream with a command
	EndedEOF       Ending = "eof"       // the peer closed the connection without a command
	EndedReset     Ending = "reset"     // the socket failed
	EndedTimeout   Ending = "timeout"   // of the transport, or of a phase
	EndedProtocol  Ending = "protocol"  // the peer violated the protocol, or sends unsupported media
	EndedRejected  Ending = "rejected"  // the peer rejected the request
	EndedClosed    Ending = "closed"    // this side closed
)

// EndingOf returns how a connection ended, given its error.
func EndingOf(err error) Ending {
	var r *Rejection
	var unsupported *flv.UnsupportedError
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return EndedClosed
	case errors.Is(err, ErrUnpublished):
		return EndedUnpublish
	case errors.As(err, &r):
		return EndedRejected
	case errors.As(err, &unsupported), isViolation(err):
		return EndedProtocol
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return EndedEOF
	case timedOut(err):
		return EndedTimeout
	}
	return EndedReset
}

// isViolation reports whether err means that the peer has violated a protocol.
func isViolation(err error) bool {
	return errors.Is(err, ErrProtocol) || errors.Is(err, flv.ErrMalformed) || rtmpconn.IsViolation(err)
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}
