package link

import (
	"errors"
	"fmt"
	"slices"
)

// Phase is a step on the way to a running push.
type Phase string

// The phases, in order. Running is what comes after them.
const (
	PhaseDial      Phase = "dial" // name and TCP
	PhaseTLS       Phase = "tls"
	PhaseHandshake Phase = "handshake"
	PhaseConnect   Phase = "connect"
	PhasePublish   Phase = "publish"
	PhaseRunning   Phase = "running"
)

// PhaseError says in which phase a push failed.
type PhaseError struct {
	Phase  Phase
	Target string // without secrets
	Err    error
}

func (e *PhaseError) Error() string {
	return fmt.Sprintf("push to %s: %s: %v", e.Target, e.Phase, e.Err)
}

func (e *PhaseError) Unwrap() error { return e.Err }

// Rejection is the far side's no: with its code and words, or without a word.
type Rejection struct {
	Code        string // such as NetStream.Publish.BadName; empty if it said nothing
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

// final are the codes after which the same push will be rejected again.
var final = []string{
	"NetConnection.Connect.InvalidApp",
	"NetStream.Publish.Denied",
}

// Retry tells whether the same push may be taken at another time. A name that is in use
// comes free, and a full server empties; a wrong key stays wrong.
func (r *Rejection) Retry() bool { return !slices.Contains(final, r.Code) }

// Retry tells whether a push that ended with err may be taken at another time.
func Retry(err error) bool {
	var r *Rejection
	if errors.As(err, &r) {
		return r.Retry()
	}
	return !errors.Is(err, ErrURL)
}

// Errors of a running push.
var (
	// ErrClosed says that this side ended the push.
	ErrClosed = errors.New("push closed")
	// ErrNotRTMP says that something else listens at the far side.
	ErrNotRTMP = errors.New("the far side does not speak RTMP")
	// ErrTooLong says that a packet does not fit into a message.
	ErrTooLong = errors.New("packet too long for an RTMP message")
)
