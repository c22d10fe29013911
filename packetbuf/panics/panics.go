// Package panics converts a panic in the handling of one session or stream into an error that ends
// it. The input comes from untrusted peers, so a fault that it triggers must not end the process.
package panics

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Error is a recovered panic. Its message is for peers; Value and Stack are for the log.
type Error struct {
	Value any
	Stack string // of the goroutine that panicked
}

// Error returns the same text for all panics, so that peers do not learn the cause.
func (e *Error) Error() string { return "internal error" }

// Recover sets *err to an *Error if the goroutine panics. It must be deferred.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = &Error{Value: v, Stack: string(debug.Stack())}
	}
}

// Run calls f and returns its error, or its panic as an *Error.
func Run(f func() error) (err error) {
	defer Recover(&err)
	return f()
}

// Logger is the part of a logger that Report needs; *slog.Logger implements it.
type Logger interface{ Error(msg string, args ...any) }

// Report logs err if it is a panic, with the place in, such as "viewer session". It reports whether err
// is a panic.
func Report(log Logger, in string, err error) bool {
	var p *Error
	if !errors.As(err, &p) {
		return false
	}
	log.Error("internal error; session ended, relay goes on", "in", in, "panic", fmt.Sprint(p.Value),
		"hint", "report this with the stack", "stack", p.Stack)
	return true
}

// ReportRecovered is Report for v, which the caller has recovered in the goroutine that panicked.
func ReportRecovered(log Logger, in string, v any) {
	Report(log, in, &Error{Value: v, Stack: string(debug.Stack())})
}
