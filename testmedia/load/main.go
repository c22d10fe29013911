// Load measures the cost of viewers. It runs the relay and, in the same run, a reference program that only
// writes FLV to the same number of sockets, or for WebRTC sends the same packets as pion's examples do,
// and compares them. For HLS, the playlists count too. With -observed it compares two relays instead: one
// that is monitored as operators do, and one that is not.
//
//	go run ./testmedia/load -protocol httpflv -viewers 300
//	go run ./testmedia/load -protocol httpflv -viewers 300 -observed
//
// It requires Linux: it reads the CPU time and memory of a process from /proc.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type options struct {
	protocol      string
	viewers       int
	rounds        int
	window        time.Duration
	settle        time.Duration
	batchInterval time.Duration
	binary        string
	profile       string
	observed      bool
	bare          string // internal: run as the reference program and listen on this address
}

func main() {
	var o options
	flag.StringVar(&o.protocol, "protocol", "httpflv", "httpflv, rtmp, hls, mse or whep")
	flag.IntVar(&o.viewers, "viewers", 0, "number of viewers of each program; 0: 300, for hls 500, for whep 100")
	flag.IntVar(&o.rounds, "rounds", 3, "number of measurements of each program")
	flag.DurationVar(&o.window, "window", 8*time.Second, "length of one measurement")
	flag.DurationVar(&o.settle, "settle", 25*time.Second, "time for the relay's buffer to fill before memory is measured")
	flag.DurationVar(&o.batchInterval, "gather", 40*time.Millisecond, "interval of the writes of the reference program")
	flag.StringVar(&o.binary, "binary", "", "binary of the relay; empty: build it")
	flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the relay under load")
	flag.BoolVar(&o.observed, "observed", false, "compare a relay with Prometheus, a console and hooks to one without")
	flag.StringVar(&o.bare, "bare", "", "internal")
	flag.Parse()
	if o.viewers == 0 {
		o.viewers = 300
		switch o.protocol {
		case "hls":
			o.viewers = 500
		case "whep":
			o.viewers = 100
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := compare
	if o.observed {
		run = compareObserved
	}
	if o.bare != "" {
		run = func(ctx context.Context, o options) error {
			if o.protocol == "whep" {
				return runBareWHEP(ctx, o.bare)
			}
			return runBare(ctx, o.bare, o.batchInterval)
		}
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
