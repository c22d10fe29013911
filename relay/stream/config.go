package stream

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
)

// Config is what an operator may set for a stream. It is not changed once it is in use.
type Config struct {
	Silence       time.Duration // no media for this long is a break; 0: by the publisher's rhythm
	FirstMedia    time.Duration // how long a publisher may take before its first packet
	Hold          time.Duration // how long viewers and buffer are kept after a break
	HoldUnpublish time.Duration // the same after a clean unpublish
	Takeover      lifecycle.Takeover
	BackupReturn  time.Duration // how long the primary must be healthy before it gets the stream back
	Freeze        bool          // while held, the last picture and silence go on
	Slate         *filler.Slate // with Freeze: what goes on instead, where it fits; nil: none
	Buffer        packetbuf.Limits
	Segment       time.Duration // of fMP4: segments begin at keyframes that far apart
	// Gather is how long packets are collected before viewers are woken; GatherAuto decides
	// by the number of viewers.
	Gather time.Duration
	// Lag is how far behind a viewer may fall before it skips to the newest keyframe.
	Lag time.Duration
}

// GatherAuto lets Load decide.
const GatherAuto = -1

func (c *Config) watchdog() watchdog.Config {
	return watchdog.Config{Silence: c.Silence, FirstMedia: c.FirstMedia}
}

func (c *Config) lifecycle() lifecycle.Config {
	return lifecycle.Config{Hold: c.Hold, HoldUnpublish: c.HoldUnpublish, Takeover: c.Takeover, BackupReturn: c.BackupReturn}
}

// Load counts the viewers of the whole relay, who share its cores, whatever they watch; and the
// streams that there were, to tell them apart.
type Load struct {
	viewers atomic.Int64
	streams atomic.Uint64
}

// Few viewers are woken for every frame; from many on they are woken together after
// gatherMost. In between it rises in proportion.
const (
	few        = 30
	many       = 200
	gatherMost = 40 * time.Millisecond
)

// Viewers is how many viewers there are.
func (l *Load) Viewers() int { return int(l.viewers.Load()) }

func (l *Load) gather() time.Duration {
	n := min(max(l.viewers.Load()-few, 0), many-few)
	return gatherMost * time.Duration(n) / (many - few)
}
