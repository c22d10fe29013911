package main

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/arrivals"
)

// TestAutoCostsLeast checks that media stops for less time with silence: auto, over all traces, than with
// any fixed timeout.
func TestAutoCostsLeast(t *testing.T) {
	const length = 10 * time.Minute
	mean := func(silence time.Duration) (sum time.Duration) {
		for i := range append(arrivals.Regular(1), arrivals.Irregular(1)...) {
			sum += simulate(append(arrivals.Regular(1), arrivals.Irregular(1)...)[i], silence, length).frozen
		}
		return sum
	}
	auto := mean(0)
	for _, silence := range fixedTimeouts {
		if got := mean(silence); got < auto {
			t.Errorf("timeout %v: media stopped for %v, want at least the %v of auto", silence, got, auto)
		}
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	report(&out, 1, 2*time.Minute)
	for _, want := range []string{"| satellite:", "| growing stalls:", "| mean of all |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got no row %q in the table", want)
		}
	}
}
