// Package panics converts a panic in the handling of one session or stream into an error that ends only
// that session or stream. The input comes from untrusted peers, and a bug that it triggers must not end
// the process.
package panics

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Error is a recovered panic. Its error text may be sent to peers; Value and Stack are for the log.
type Error struct {
	Value any
	Stack string // of the goroutine that panicked
}

// Error returns the same text for all panics, so that peers do not learn the cause.
func (e *Error) Error() string { return "internal error" }

// Recover recovers from a panic and sets *err to an *Error that describes it. It must be called by
// defer. Without a panic it does nothing.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &Error{Value: v, Stack: string(debug.Stack())}
	}
}

// Run calls f and returns its error. If f panics, Run returns an *Error.
func Run(f func() error) (err error) {
	defer Recover(&err)
	return f()
}

// Logger is the part of a logger that Report needs; *slog.Logger implements it.
type Logger interface{ Error(msg string, args ...any) }

// Report logs err if it is an *Error, and reports whether it is. in says what panicked, such as "viewer
// session".
func Report(log Logger, in string, err error) bool {
	var p *Error
	if !errors.As(err, &p) {
		return false
	}
	log.Error("internal error; session ended, relay goes on", "in", in, "panic", fmt.Sprint(p.Value),
		"hint", "report this with the stack", "stack", p.Stack)
	return true
}

// ReportRecovered is Report for the value v of a panic that the caller has recovered. It must be called
// in the goroutine that panicked, because it logs that goroutine's stack.
func ReportRecovered(log Logger, in string, v any) {
	Report(log, in, &Error{Value: v, Stack: string(debug.Stack())})
}
