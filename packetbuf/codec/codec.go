// Package codec reads and writes coded media as far as the relay needs to: decoder configurations,
// parameter sets, access units and audio frames.
//
// The package is pure: no goroutine, no clock, no I/O. Every parser is bounded by the bytes it is
// given, copies nothing unless its documentation says so, and returns an error that wraps
// ErrMalformed for bytes that break their format.
package codec

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that break their format.
var ErrMalformed = errors.New("malformed")

func malformed(what string) error { return fmt.Errorf("%s: %w", what, ErrMalformed) }

func malformedf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
}
