package prom

import (
	"sync"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

// other is the value of the label "stream" in the series that sum all streams without series of their own.
// It is not the name of a stream, because stream names contain a slash.
const other = "other"

// chosen tracks the streams that have series of their own. A stream that has them keeps them for as long as
// it exists, so that its series do not get gaps when other streams appear.
type chosen struct {
	mu    sync.Mutex // guards names
	names map[string]bool
}

// choose returns the names of the streams that have series of their own. It adds streams until there are
// most of them, but removes none that already have series. It includes the streams of routes, because a
// pull route may exist before its stream.
func (c *chosen) choose(r *snapshot.Relay, most int) map[string]bool {
	names := make([]string, 0, len(r.Streams)+len(r.Routes))
	for i := range r.Streams {
		names = append(names, r.Streams[i].Name)
	}
	for i := range r.Routes {
		names = append(names, r.Routes[i].Stream)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(map[string]bool, min(len(names), most))
	for _, name := range names {
		if c.names[name] {
			next[name] = true
		}
	}
	for _, name := range names {
		if len(next) >= most {
			break
		}
		next[name] = true
	}
	c.names = next // next is not changed any more, so the caller may read it without the lock
	return next
}

// rest sums the values of the streams without series of their own, as far as a sum is meaningful.
type rest struct {
	streams, bufferBytes int
	bitrate              float64
	viewers              map[string]int
}

func (r *rest) add(s *snapshot.Stream) {
	r.streams++
	r.bitrate += s.Bitrate
	r.bufferBytes += s.BufferBytes
	if r.viewers == nil {
		r.viewers = map[string]int{}
	}
	for protocol, n := range s.Viewers {
		r.viewers[protocol] += n
	}
}

func (r *rest) collect(gauge func(string, float64, ...string)) {
	if r.streams == 0 {
		return
	}
	gauge("ingest_bitrate", r.bitrate, other)
	gauge("buffer_bytes", float64(r.bufferBytes), other)
	for protocol, n := range r.viewers {
		gauge("viewers", float64(n), other, protocol)
	}
}
