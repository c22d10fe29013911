package main

import (
	_ "embed" // for the recorded trace
	"fmt"
	"strings"
	"time"
)

//go:embed testdata/recorded.csv
var recording string

// recordedConditions returns the conditions of a recorded line; the file describes how it was recorded.
// The last second continues.
func recordedConditions() []conditions {
	var out []conditions
	for line := range strings.Lines(recording) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var bits, trip, resent, sent int
		if _, err := fmt.Sscanf(line, "%d,%d,%d,%d", &bits, &trip, &resent, &sent); err != nil {
			panic(fmt.Sprintf("recorded line %q: %v", line, err)) // a test reads the same lines
		}
		c := conditions{rate: float64(bits), rtt: time.Duration(trip) * time.Millisecond, effective: true}
		if sent > 0 {
			c.loss = min(float64(resent)/float64(sent), 1)
		}
		out = append(out, c.of(time.Second))
	}
	out[len(out)-1].lasts = 0
	return out
}
