// Command routesim runs the route policy over simulated network conditions, in virtual time. It compares
// the policy with a fixed redial delay on the first route. It prints a table and writes a plot of each
// trace to a directory.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	dir := flag.String("out", "", "directory for the plots; none: no plots")
	seed := flag.Uint64("seed", 1, "seed of the random numbers")
	flag.Parse()
	if err := report(os.Stdout, *dir, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func report(w io.Writer, dir string, seed uint64) error {
	fmt.Fprintln(w, "| trace | lost, fixed | lost, policy | longest gap, fixed | policy | mean gap, fixed | policy | switches | dials, fixed | policy |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, t := range allTraces(rand.New(rand.NewPCG(seed, 2))) { //nolint:gosec // reproducible on purpose
		f, p := simulate(t, fixedDelayConfig(), seed), simulate(t, failoverConfig(), seed)
		fmt.Fprintf(w, "| %s: %s | %.1f MB | %.1f MB | %v | %v | %v | %v | %d | %d | %d |\n", t.name, t.about, f.lost/1e6, p.lost/1e6,
			f.longest, p.longest, f.mean.Round(step), p.mean.Round(step), p.switches, f.dials, p.dials)
		if dir == "" {
			continue
		}
		name := filepath.Join(dir, strings.ReplaceAll(t.name, " ", "-")+".svg")
		if err := os.WriteFile(name, plot(t, p, f), 0o600); err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	return nil
}
