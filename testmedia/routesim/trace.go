package main

import (
	"math/rand/v2"
	"time"
)

// conditions are the network conditions of a line for a while.
type conditions struct {
	lasts time.Duration
	// rate is the rate of the bottleneck in bit/s. 0 is a black hole: connections stay open and nothing
	// arrives.
	rate  float64
	rtt   time.Duration
	loss  float64 // share of packets lost, 0 to 1
	down  bool    // connections are reset, dials refused
	noise float64 // relative variation of the rate from second to second
	// effective reports that rate is what TCP achieved, with loss included.
	effective bool
}

// trace is a sequence of conditions for each of two routes. The last conditions continue.
type trace struct {
	name, about string
	length      time.Duration
	routes      [2][]conditions
}

var (
	good      = conditions{rate: 20e6, rtt: 30 * time.Millisecond, noise: 0.1}
	far       = conditions{rate: 20e6, rtt: 90 * time.Millisecond, noise: 0.1}
	lossy     = conditions{rate: 20e6, rtt: 80 * time.Millisecond, loss: 0.02, noise: 0.1}
	congested = conditions{rate: 1.4e6, rtt: 150 * time.Millisecond, loss: 0.001, noise: 0.3}
	busy      = conditions{rate: 3.5e6, rtt: 60 * time.Millisecond, noise: 0.2}
	hole      = conditions{rtt: 30 * time.Millisecond}
	dead      = conditions{down: true, rtt: 30 * time.Millisecond}
)

func (c conditions) of(d time.Duration) conditions {
	c.lasts = d
	return c
}

// allTraces returns all traces. chance shifts events by up to a quarter, so that no result depends on one
// moment.
func allTraces(chance *rand.Rand) []trace {
	about := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * (0.75 + 0.5*chance.Float64())).Round(step)
	}
	calm := []conditions{far}
	var flapping, dying []conditions
	flapping = append(flapping, good.of(about(time.Minute)))
	for range 10 {
		flapping = append(flapping, dead.of(about(5*time.Second)), good.of(about(5*time.Second)))
	}
	for up := time.Minute; up > 3*time.Second; up = up * 2 / 3 {
		dying = append(dying, good.of(about(up)), dead.of(about(time.Duration(float64(time.Minute)/up.Seconds()))))
	}
	dying = append(dying, dead)
	const long = 10 * time.Minute
	return []trace{
		{"good", "both lines are fine", long, [2][]conditions{{good}, calm}},
		{"short breaks", "the first resets every two minutes and is there again", long, [2][]conditions{{
			good.of(about(2 * time.Minute)), dead.of(about(time.Second)), good.of(about(2 * time.Minute)), dead.of(about(time.Second)),
			good.of(about(2 * time.Minute)), dead.of(about(time.Second)), good,
		}, calm}},
		{"lossy", "the first loses 2 % of the packets for five minutes", long, [2][]conditions{{good.of(about(time.Minute)), lossy.of(about(5 * time.Minute)), good}, calm}},
		{"dying", "the first breaks more and more often, and then for good", long, [2][]conditions{dying, calm}},
		{"flapping", "the first is up for 5 s and down for 5 s, ten times", long, [2][]conditions{append(flapping, good), calm}},
		{"evening", "the first is congested for six minutes, and busy before and after", 15 * time.Minute, [2][]conditions{{
			good.of(about(2 * time.Minute)), busy.of(about(time.Minute)), congested.of(about(6 * time.Minute)), busy.of(about(time.Minute)), good,
		}, calm}},
		{"one of two down", "the first provider is away for four minutes", long, [2][]conditions{{good.of(about(2 * time.Minute)), dead.of(about(4 * time.Minute)), good}, calm}},
		{"black hole", "the first swallows everything for three minutes, silently", long, [2][]conditions{{good.of(about(2 * time.Minute)), hole.of(about(3 * time.Minute)), good}, calm}},
		{"both", "the first is away for four minutes, the second in the midst of them", long, [2][]conditions{
			{good.of(about(2 * time.Minute)), dead.of(about(4 * time.Minute)), good},
			{far.of(about(3 * time.Minute)), dead.of(about(time.Minute)), far},
		}},
		{"recorded", "the first as it was recorded: shared with others, halved, and cut off for a while", long, [2][]conditions{recordedConditions(), calm}},
	}
}

// at returns the conditions of a route at a time since the start.
func (t trace) at(route int, since time.Duration) conditions {
	all := t.routes[route]
	for _, c := range all {
		if c.lasts == 0 || since < c.lasts {
			return c
		}
		since -= c.lasts
	}
	return all[len(all)-1]
}
