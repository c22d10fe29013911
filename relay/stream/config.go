package stream

import (
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
)

// Config is the configuration that an operator may set for a stream. It is immutable once it is in
// use.
type Config struct {
	Silence       time.Duration // without media until the publisher counts as silent; 0: adaptive
	FirstMedia    time.Duration // limit for the publisher's first packet
	Hold          time.Duration // how long viewers and buffer are kept after a break
	HoldUnpublish time.Duration // how long they are kept after an unpublish
	Takeover      lifecycle.Takeover
	BackupReturn  time.Duration // how long the primary must be healthy before it feeds the stream again
	Freeze        bool          // while held, viewers get the last frame and silence
	Slate         *filler.Slate // with Freeze: played instead if its format fits the stream; nil: none
	Buffer        packetbuf.Limits
	Segment       time.Duration // of fMP4: the least distance between the keyframes that start segments
	// Gather is how long packets are collected before viewers are woken; GatherAuto decides
	// by the number of viewers.
	Gather time.Duration
	// Lag is how far behind a viewer may fall before it skips to the newest keyframe.
	Lag time.Duration
}

// GatherAuto as Config.Gather derives the gathering time from Load.
const GatherAuto = -1

func (c *Config) watchdog() watchdog.Config {
	return watchdog.Config{Silence: c.Silence, FirstMedia: c.FirstMedia}
}

func (c *Config) lifecycle() lifecycle.Config {
	return lifecycle.Config{Hold: c.Hold, HoldUnpublish: c.HoldUnpublish, Takeover: c.Takeover, BackupReturn: c.BackupReturn}
}

// Load counts the viewers of the whole relay, because they share its cores whichever stream they
// watch. It also counts the streams created so far, to number them.
type Load struct {
	viewers atomic.Int64
	streams atomic.Uint64
}

// Up to fewViewers viewers are woken for every frame. From manyViewers on, all are woken together after
// gatherMost. In between, the gathering time rises in proportion.
const (
	fewViewers  = 30
	manyViewers = 200
	gatherMost  = 40 * time.Millisecond
)

// Viewers returns the number of viewers.
func (l *Load) Viewers() int { return int(l.viewers.Load()) }

// gather returns the gathering time.
func (l *Load) gather() time.Duration {
	n := min(max(l.viewers.Load()-fewViewers, 0), manyViewers-fewViewers)
	return gatherMost * time.Duration(n) / (manyViewers - fewViewers)
}
