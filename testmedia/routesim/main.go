// Command routesim drives the policy of routes through made-up weather, in virtual time, and
// sets what it does against a fixed delay on the first route alone: a table on standard
// output, a plot of each trace in a directory.
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
	seed := flag.Uint64("seed", 1, "of what is left to chance")
	flag.Parse()
	if err := report(os.Stdout, *dir, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func report(w io.Writer, dir string, seed uint64) error {
	fmt.Fprintln(w, "| trace | lost, fixed | lost, policy | longest gap, fixed | policy | mean gap, fixed | policy | switches | dials, fixed | policy |")
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, t := range traces(rand.New(rand.NewPCG(seed, 2))) { //nolint:gosec // chances are to repeat
		f, p := simulate(t, fixed(), seed), simulate(t, failover(), seed)
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
