package panics_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

type logger struct{ lines []string }

func (l *logger) Error(msg string, args ...any) {
	l.lines = append(l.lines, msg+" "+fmt.Sprint(args...))
}

func TestPanicBecomesAnError(t *testing.T) {
	err := panics.Run(func() error { panic("index out of reach") })
	var p *panics.Error
	if !errors.As(err, &p) || p.Value != "index out of reach" || !strings.Contains(p.Stack, "TestPanicBecomesAnError") {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "reach") {
		t.Errorf("got message %q, want one without the cause", err)
	}
	var l logger
	if !panics.Report(&l, "a test", fmt.Errorf("wrapped: %w", err)) || len(l.lines) != 1 || !strings.Contains(l.lines[0], "index out of reach") ||
		!strings.HasPrefix(l.lines[0], "internal error; session ended, relay goes on ina test") || !strings.Contains(l.lines[0], "report this with the stack") {
		t.Errorf("got %q", l.lines)
	}
}

func TestOtherErrorsPass(t *testing.T) {
	var l logger
	if err := panics.Run(func() error { return io.EOF }); !errors.Is(err, io.EOF) || panics.Report(&l, "a test", err) {
		t.Errorf("got %v, %q", err, l.lines)
	}
}
