package stream

import (
	"sync/atomic"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Counters counts what happens too often to be reported as events. All streams share one Counters.
type Counters struct {
	IngestFrames  [packetbuf.NumTracks]atomic.Uint64
	Late          atomic.Uint64 // packets dropped because viewers already have later ones
	Filler        [packetbuf.NumTracks]atomic.Uint64
	TrackSilences [packetbuf.NumTracks]atomic.Uint64
	ingestBytes   [len(protocols)]atomic.Uint64
	skips         [len(egresses)]atomic.Uint64
}

// The protocols that are counted separately.
var (
	protocols = [...]string{"rtmp", "rtmps", "whip", "pull", "transcode"}
	egresses  = [...]string{"rtmp", "rtmps", "httpflv", "hls", "whep", "mse"}
)

// index returns the index of a name, or 0 if names does not contain it.
func index(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return 0
}

// IngestBytes returns the number of media bytes received, by protocol.
func (c *Counters) IngestBytes() map[string]uint64 {
	m := map[string]uint64{}
	for i := range c.ingestBytes {
		m[protocols[i]] = c.ingestBytes[i].Load()
	}
	return m
}

// Skips returns how often viewers skipped to a keyframe, by protocol.
func (c *Counters) Skips() map[string]uint64 {
	m := map[string]uint64{}
	for i := range c.skips {
		m[egresses[i]] = c.skips[i].Load()
	}
	return m
}
