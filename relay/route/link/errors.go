package link

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-live/holdfast/qos"
)

// Values of PhaseError.Op.
const (
	opPush  = "push to"
	opPull  = "pull from"
	opProbe = "probe of"
)

// PhaseError reports in which phase a connection failed. It contains no secrets.
type PhaseError struct {
	Op     string // "push to", "pull from" or "probe of"
	Phase  qos.Phase
	Target string // as returned by Target.String
	Tried  int    // how many of the host's addresses were tried
	Timing Timing // of the dial
	Err    error  // of the last address
}

func (e *PhaseError) Error() string {
	s := fmt.Sprintf("%s %s: %s: %v", e.Op, e.Target, e.Phase, e.Err)
	if e.Tried > 1 {
		s += fmt.Sprintf(" (the last of %d addresses tried)", e.Tried)
	}
	return s
}

func (e *PhaseError) Unwrap() error { return e.Err }

// Rejection reports that the peer has rejected the request, with a code and a description or by
// closing the connection.
type Rejection struct {
	Code        string // such as NetStream.Publish.BadName or HTTP 404; empty if the peer gave none
	Description string // without secrets, printable, at most 256 bytes
	// Early reports whether the connection was closed without a reason at connect or publish, or right
	// after it; nginx-rtmp rejects that way.
	Early bool
	Err   error // if Early, how the connection ended
}

func (r *Rejection) Error() string {
	switch {
	case r.Early && r.Code == "":
		return fmt.Sprintf("rejected: the connection was closed without a reason: %v", r.Err)
	case r.Description == "":
		return "rejected: " + r.Code
	}
	return fmt.Sprintf("rejected: %s: %s", r.Code, r.Description)
}

func (r *Rejection) Unwrap() error { return r.Err }

// final lists the codes after which the same request would be rejected again.
var final = []string{
	"NetConnection.Connect.InvalidApp",
	"NetStream.Publish.Denied",
	"HTTP 401",
	"HTTP 403",
}

// Retry reports whether the same request may be accepted at another time. A name in use becomes free
// and a full server empties, but a wrong key stays wrong.
func (r *Rejection) Retry() bool { return !slices.Contains(final, r.Code) }

// hasCode reports whether err is a rejection with a code. Another address of the same host would
// reject the request too.
func hasCode(err error) bool {
	var r *Rejection
	return errors.As(err, &r) && r.Code != ""
}

// Errors of an established connection.
var (
	// ErrClosed reports that this side ended the connection.
	ErrClosed = errors.New("connection closed by this side")
	// ErrUnpublished reports that the pulled stream has ended cleanly.
	ErrUnpublished = errors.New("the stream has ended at the origin")
	// ErrTooLong reports that a packet does not fit into an RTMP message.
	ErrTooLong = errors.New("packet too long for an RTMP message")
	// ErrProtocol is wrapped by errors about a peer that violates the protocol, unless another package
	// has an error for the violation.
	ErrProtocol = errors.New("protocol violation")
)
