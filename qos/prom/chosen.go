package prom

import (
	"sync"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

// other stands for all streams without series of their own. No stream is called so: a name has
// a slash.
const other = "other"

// chosen are the streams that have series of their own. One that has them keeps them as long
// as it is there, so that no series has holes because others came.
type chosen struct {
	mu    sync.Mutex // guards names
	names map[string]bool
}

// choose returns the names of the streams that have series of their own, at most so many
// unless there were more already. A route is there before the stream that it brings in.
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
	c.names = next // which nobody changes from now on
	return next
}

// rest sums what has a sum of streams without series of their own.
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
