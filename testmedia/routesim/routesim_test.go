package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPolicy checks that the policy never loses more than a fixed delay on the first route does, except
// for a second of the stream. On traces where a second route helps, the policy must lose less.
func TestPolicy(t *testing.T) {
	const second = bitrate / 8
	wins := map[string]float64{ // maximum loss of the policy relative to a fixed delay
		"short breaks": 0.8, "lossy": 0.4, "dying": 0.1, "flapping": 0.2, "evening": 0.4, "one of two down": 0.1, "black hole": 0.1, "both": 0.7, "recorded": 0.6,
	}
	switches := map[string]int{"good": 0, "short breaks": 6, "flapping": 3, "one of two down": 2, "black hole": 2, "dying": 3, "lossy": 6, "evening": 6, "recorded": 6}
	seeds := uint64(3)
	if os.Getenv("HOLDFAST_SWEEP") != "" {
		seeds = 12
	}
	for seed := range seeds {
		for _, tr := range allTraces(rand.New(rand.NewPCG(seed, 2))) {
			t.Run(fmt.Sprintf("%s %d", tr.name, seed), func(t *testing.T) {
				f, p := simulate(tr, fixedDelayConfig(), seed), simulate(tr, failoverConfig(), seed)
				if p.lost > f.lost+second {
					t.Errorf("policy: got %.1f MB lost, want at most the %.1f MB of a fixed delay", p.lost/1e6, f.lost/1e6)
				}
				if most, ok := wins[tr.name]; ok && p.lost > most*f.lost {
					t.Errorf("policy: got %.1f MB lost, want at most %v of the %.1f MB of a fixed delay", p.lost/1e6, most, f.lost/1e6)
				}
				if most, ok := switches[tr.name]; ok && p.switches > most {
					t.Errorf("got %d switches, want at most %d", p.switches, most)
				}
				if tr.name == "one of two down" && p.longest > failoverConfig().After+time.Second {
					t.Errorf("got no data for %v", p.longest)
				}
			})
		}
	}
}

// TestReport checks that the table has a row for each trace and that each plot is valid XML.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	var table bytes.Buffer
	if err := report(&table, dir, 1); err != nil {
		t.Fatal(err)
	}
	all := allTraces(rand.New(rand.NewPCG(1, 2)))
	if rows := strings.Count(table.String(), "\n"); rows != len(all)+2 {
		t.Errorf("got %d rows, want %d", rows-2, len(all))
	}
	for _, tr := range all {
		b, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(tr.name, " ", "-")+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(bytes.NewReader(b))
		for err == nil {
			_, err = d.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", tr.name, err)
		}
	}
}
