// Package codec reads and writes coded media as far as the relay needs to: decoder configurations,
// parameter sets, access units and audio frames.
//
// The package is pure: no goroutine, no clock, no I/O. The work of every parser is bounded by the length
// of its input. Unless their documentation says otherwise, parsers copy nothing. They return an error that
// wraps ErrMalformed for bytes that violate the format.
package codec

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that violate their format.
var ErrMalformed = errors.New("malformed")

func malformed(what string) error { return fmt.Errorf("%s: %w", what, ErrMalformed) }

func malformedf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
}
