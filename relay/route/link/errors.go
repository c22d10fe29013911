package link

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-live/holdfast/qos"
)

// What a PhaseError's Op says.
const (
	opPush  = "push to"
	opPull  = "pull from"
	opProbe = "probe of"
)

// PhaseError says in which phase a connection failed. Nothing in it is secret.
type PhaseError struct {
	Op     string // "push to", "pull from" or "probe of"
	Phase  qos.Phase
	Target string // as Target.String
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

// Rejection is the far side's no: with its code and words, or without a word.
type Rejection struct {
	Code        string // such as NetStream.Publish.BadName or HTTP 404; empty if it said nothing
	Description string // without secrets, printable, at most 256 bytes
	// Early marks a connection that was closed at connect or publish, or right after it,
	// without a word: so nginx-rtmp says no.
	Early bool
	Err   error // how the connection ended, when Early
}

func (r *Rejection) Error() string {
	switch {
	case r.Early && r.Code == "":
		return fmt.Sprintf("rejected: the connection was closed without a word: %v", r.Err)
	case r.Description == "":
		return "rejected: " + r.Code
	}
	return fmt.Sprintf("rejected: %s: %s", r.Code, r.Description)
}

func (r *Rejection) Unwrap() error { return r.Err }

// final are the codes after which the same request will be rejected again.
var final = []string{
	"NetConnection.Connect.InvalidApp",
	"NetStream.Publish.Denied",
	"HTTP 401",
	"HTTP 403",
}

// Retry tells whether the same request may be taken at another time. A name that is in use
// comes free, and a full server empties; a wrong key stays wrong.
func (r *Rejection) Retry() bool { return !slices.Contains(final, r.Code) }

// inWords tells whether err is a rejection in the protocol's words, which another address
// of the same host would repeat.
func inWords(err error) bool {
	var r *Rejection
	return errors.As(err, &r) && r.Code != ""
}

// Errors of a connection that ran.
var (
	// ErrClosed says that this side ended the connection.
	ErrClosed = errors.New("connection closed by this side")
	// ErrUnpublished says that what was pulled has come to a clean end.
	ErrUnpublished = errors.New("the stream was ended at the far side")
	// ErrNotRTMP says that something else listens at the far side.
	ErrNotRTMP = errors.New("the far side does not speak RTMP")
	// ErrTooLong says that a packet does not fit into a message.
	ErrTooLong = errors.New("packet too long for an RTMP message")
	// ErrProtocol is wrapped by errors about a far side that breaks the rules, where no
	// other package's error says it.
	ErrProtocol = errors.New("protocol violation")
)
