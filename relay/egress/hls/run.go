package hls

import (
	"strconv"
	"time"
)

// run is one of the relay, from its start to its end. Media playlists have it in their URLs, so
// that discontinuity sequences, which begin at 1 in each, can rise for who had the URL of an
// earlier one. They cannot just be taken from the clock as those of segments are: players such
// as hls.js keep an array as long as the sequence is high, and go through all of it at each reload.
type run struct {
	began time.Time // whole seconds
	exact time.Time // the same, unrounded
	name  string
}

const (
	// seldom is how far apart discontinuities are on the average, at the least, from the start
	// of a run on: that much for each of them a later run begins above.
	seldom = 2 * time.Second
	// nameless is what stands for it where a URL does not say of which run it is: that is as old
	// as can be.
	nameless = 10 * time.Minute
	// mostRun is the longest name.
	mostRun = 8
)

func newRun(at time.Time) run {
	exact := at
	at = at.Truncate(time.Second)
	return run{began: at, exact: exact, name: strconv.FormatInt(max(0, at.Unix()-epoch.Unix()), 36)}
}

// after is how much higher than by its own count a discontinuity sequence is for who has a URL
// of the run named.
func (r run) after(name string) uint64 {
	if name == r.name {
		return 0
	}
	since, err := strconv.ParseInt(name, 36, 64)
	if err != nil || since < 0 || len(name) > mostRun {
		return steps(r.began.Sub(epoch), nameless)
	}
	ago := max(0, r.began.Unix()-epoch.Unix()-since) // seconds
	return 1 + steps(time.Duration(ago)*time.Second, seldom)
}
