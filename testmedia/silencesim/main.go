// Command silencesim compares rules for declaring a silent push broken, in virtual time. It measures how
// long media stops for viewers, in seconds per viewer-hour, for publishers and networks that never really
// fail. A declared break costs the time until then and the rest of the GOP. A gap without a break costs
// its whole length. silencesim prints a table of silence: auto and fixed timeouts.
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

// fixedTimeouts are timeouts that other relays and operators use.
var fixedTimeouts = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

func main() {
	seed := flag.Uint64("seed", 1, "seed of the random numbers")
	length := flag.Duration("length", 4*time.Hour, "length of each trace")
	flag.Parse()
	report(os.Stdout, *seed, *length)
}

func report(w io.Writer, seed uint64, length time.Duration) {
	fmt.Fprintln(w, "Seconds per hour without media beyond the rhythm, and breaks declared per hour.")
	fmt.Fprintln(w)
	fmt.Fprint(w, "| trace | rhythm | auto | breaks |")
	for _, d := range fixedTimeouts {
		fmt.Fprintf(w, " %v | breaks |", d)
	}
	fmt.Fprintln(w, " time to detect a hang, auto |")
	fmt.Fprint(w, "|---|--:|--:|--:|")
	for range fixedTimeouts {
		fmt.Fprint(w, "--:|--:|")
	}
	fmt.Fprintln(w, "--:|")
	traces := slices.Concat(arrivals.Regular(seed), arrivals.Irregular(seed))
	sums := make([]float64, 1+len(fixedTimeouts))
	for i, t := range traces {
		fmt.Fprintf(w, "| %s: %s | %v |", t.Name, t.About, t.Rhythm.Round(time.Millisecond))
		var detect time.Duration
		for j, silence := range append([]time.Duration{0}, fixedTimeouts...) {
			// A trace has state, so each rule gets a new one.
			c := simulate(slices.Concat(arrivals.Regular(seed), arrivals.Irregular(seed))[i], silence, length)
			frozen := c.frozen.Seconds() / length.Hours()
			sums[j] += frozen
			fmt.Fprintf(w, " %.1f | %.1f |", frozen, float64(c.breaks)/length.Hours())
			if silence == 0 {
				detect = c.detection
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
