package hls

import (
	"strconv"
	"time"
)

// instance is one run of the relay's process. The URL of a media playlist names the instance that
// has issued it. In each instance, discontinuity sequences begin at 1. But for players with a URL
// of an earlier instance, they must continue to increase; see discontinuityOffset. They cannot be
// derived from the clock like segment numbers, because players such as hls.js keep an array as long
// as the discontinuity sequence, and scan all of it at each reload.
type instance struct {
	start      time.Time // start, truncated to seconds
	exactStart time.Time // start, not truncated
	name       string
}

const (
	// minDiscontinuityInterval is the assumed minimum average time between discontinuities. For
	// clients of an earlier instance, the offset is one for each such interval since the start of
	// that instance.
	minDiscontinuityInterval = 2 * time.Second
	// unnamedInterval replaces it if a URL does not name a valid instance. Such a URL may be of any
	// age.
	unnamedInterval = 10 * time.Minute
	// maxNameLength is the maximum length of an instance's name.
	maxNameLength = 8
)

func newInstance(at time.Time) instance {
	exact := at
	at = at.Truncate(time.Second)
	return instance{start: at, exactStart: exact, name: strconv.FormatInt(max(0, at.Unix()-epoch.Unix()), 36)}
}

// discontinuityOffset returns the offset that is added to discontinuity sequences for clients that
// hold a URL of the named instance.
func (r instance) discontinuityOffset(name string) uint64 {
	if name == r.name {
		return 0
	}
	since, err := strconv.ParseInt(name, 36, 64)
	if err != nil || since < 0 || len(name) > maxNameLength {
		return steps(r.start.Sub(epoch), unnamedInterval)
	}
	ago := max(0, r.start.Unix()-epoch.Unix()-since) // seconds
	return 1 + steps(time.Duration(ago)*time.Second, minDiscontinuityInterval)
}
