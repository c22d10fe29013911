package link

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
)

// Timing is how long each phase of a dial took that was begun: with several addresses
// tried, all of them together.
type Timing map[qos.Phase]time.Duration

func (t Timing) clone() Timing { return maps.Clone(t) }

// Classify says what became of a dial or a probe that ended with err.
func Classify(err error) qos.Outcome {
	var r *Rejection
	var unsupported *flv.UnsupportedError
	switch {
	case err == nil:
		return qos.DialOK
	case errors.Is(err, ErrURL), errors.As(err, &unsupported), errors.As(err, &r) && !r.Retry():
		return qos.DialDenied
	case r != nil, errors.Is(err, ErrUnpublished): // an origin whose stream is over
		return qos.DialRejected
	case timedOut(err):
		return qos.DialTimeout
	}
	return qos.DialFailed
}

// Retry tells whether a connection that ended with err may be had at another time.
func Retry(err error) bool { return Classify(err) != qos.DialDenied }

// Attempt makes history of a dial or a probe that ended at the moment at: with its timing
// if err is nil, else with that of the error.
func Attempt(at time.Time, probe bool, timing Timing, err error) qos.Attempt {
	a := qos.Attempt{At: at, Probe: probe, Outcome: Classify(err), Phase: qos.PhaseRunning, Took: maps.Clone(timing)}
	if err == nil {
		return a
	}
	a.Detail = err.Error()
	a.Phase = qos.PhaseDNS // of a URL that was never dialled
	var failed *PhaseError
	if errors.As(err, &failed) {
		a.Phase, a.Took = failed.Phase, maps.Clone(failed.Timing)
	}
	return a
}

// Ending is how a connection that ran came to its end. The values are those of
// ingest.Cause where both have them.
type Ending string

// The endings.
const (
	EndedUnpublish Ending = "unpublish" // the far side ended the stream in words
	EndedEOF       Ending = "eof"       // it closed the connection without a word
	EndedReset     Ending = "reset"     // the socket failed
	EndedTimeout   Ending = "timeout"   // the transport gave the far side up, or a phase took too long
	EndedProtocol  Ending = "protocol"  // the far side broke the rules, or sends what is not carried
	EndedRejected  Ending = "rejected"  // the far side said no
	EndedClosed    Ending = "closed"    // this side closed
)

// EndingOf tells how a connection ended whose end is err.
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
	case errors.As(err, &unsupported), broken(err):
		return EndedProtocol
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return EndedEOF
	case timedOut(err):
		return EndedTimeout
	}
	return EndedReset
}

// broken tells whether err says that the far side broke the rules.
func broken(err error) bool {
	for _, is := range []error{
		ErrProtocol, ErrNotRTMP, flv.ErrMalformed, wire.ErrTooLarge, wire.ErrTooMany, wire.ErrBuffered,
		wire.ErrBadChunk, wire.ErrBadControl, wire.ErrBadAMF, wire.ErrBadAggregate,
	} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}
