// Command silencesim judges rules for declaring a silent push broken, in virtual time: how long
// media stands still for viewers, in seconds per viewer-hour, over publishers and lines that
// are never really gone. A break that is declared costs the time until then and the rest of
// the group of pictures; one that is not costs the whole gap. It prints a table: silence: auto
// beside fixed timeouts.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/arrivals"
)

// fixed are timeouts as other relays and operators set them.
var fixed = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

func main() {
	seed := flag.Uint64("seed", 1, "of what is left to chance")
	length := flag.Duration("length", 4*time.Hour, "length of each trace")
	flag.Parse()
	report(os.Stdout, *seed, *length)
}

func report(w io.Writer, seed uint64, length time.Duration) {
	fmt.Fprintln(w, "Seconds per hour in which media stands still beyond the rhythm, and breaks declared per hour.")
	fmt.Fprintln(w)
	fmt.Fprint(w, "| trace | rhythm | auto | breaks |")
	for _, d := range fixed {
		fmt.Fprintf(w, " %v | breaks |", d)
	}
	fmt.Fprintln(w, " a hang goes unnoticed, auto |")
	fmt.Fprint(w, "|---|--:|--:|--:|")
	for range fixed {
		fmt.Fprint(w, "--:|--:|")
	}
	fmt.Fprintln(w, "--:|")
	traces := slices.Concat(arrivals.Regular(seed), arrivals.Irregular(seed))
	sums := make([]float64, 1+len(fixed))
	for i, t := range traces {
		fmt.Fprintf(w, "| %s: %s | %v |", t.Name, t.About, t.Rhythm.Round(time.Millisecond))
		var detect time.Duration
		for j, silence := range append([]time.Duration{0}, fixed...) {
			// A trace is a generator with state: each rule gets its own.
			c := simulate(slices.Concat(arrivals.Regular(seed), arrivals.Irregular(seed))[i], silence, length)
			frozen := c.frozen.Seconds() / length.Hours()
			sums[j] += frozen
			fmt.Fprintf(w, " %.1f | %.1f |", frozen, float64(c.verdicts)/length.Hours())
			if silence == 0 {
				detect = c.detect
			}
		}
		fmt.Fprintf(w, " %.1f s |\n", detect.Seconds())
	}
	fmt.Fprint(w, "| mean of all | |")
	for _, sum := range sums {
		fmt.Fprintf(w, " %.1f | |", sum/float64(len(traces)))
	}
	fmt.Fprintln(w, " |")
}
