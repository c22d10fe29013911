// Load measures what viewers cost: it runs the relay and, beside it in the same run, a bare
// program that does nothing but write FLV to as many sockets, or for WebRTC sends the same
// packets as pion's examples do, and compares them. Viewers of HLS are counted with their
// playlists. With -observed it runs two relays instead, of which one is watched as operators do,
// and compares those.
//
//	go run ./testmedia/load -protocol httpflv -viewers 300
//	go run ./testmedia/load -protocol httpflv -viewers 300 -observed
//
// It needs Linux, whose /proc tells CPU time and memory of a process.
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
	protocol string
	viewers  int
	rounds   int
	window   time.Duration
	settle   time.Duration
	gather   time.Duration
	binary   string
	profile  string
	observed bool
	bare     string // internal: run as the bare program and listen here
}

func main() {
	var o options
	flag.StringVar(&o.protocol, "protocol", "httpflv", "httpflv, rtmp, hls, mse or whep")
	flag.IntVar(&o.viewers, "viewers", 0, "viewers of each program; 0: 300, of hls 500, of whep 100")
	flag.IntVar(&o.rounds, "rounds", 3, "times that each program is measured, in turn")
	flag.DurationVar(&o.window, "window", 8*time.Second, "length of one measurement")
	flag.DurationVar(&o.settle, "settle", 25*time.Second, "time for the relay's buffer to fill before memory is measured")
	flag.DurationVar(&o.gather, "gather", 40*time.Millisecond, "how long the bare program gathers")
	flag.StringVar(&o.binary, "binary", "", "the relay's binary; empty: it is built")
	flag.StringVar(&o.profile, "profile", "", "file for a CPU profile of the relay under load")
	flag.BoolVar(&o.observed, "observed", false, "compare a relay that is scraped, looked at by a console and calls hooks with one that is left alone")
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
		run = observed
	}
	if o.bare != "" {
		run = func(ctx context.Context, o options) error {
			if o.protocol == "whep" {
				return bareWHEP(ctx, o.bare)
			}
			return bare(ctx, o.bare, o.gather)
		}
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
