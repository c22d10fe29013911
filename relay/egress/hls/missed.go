package hls

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// downtime is how long a restart takes at the most until the next run begins, with how far behind
	// a player may be.
	downtime = 15 * time.Second
	// mostMissed bounds the segments that are listed as missing.
	mostMissed = 60
	// restartWait is how long a file from before a restart is waited for; players give up after 10 s.
	restartWait = 8 * time.Second
)

// edition returns which of a view's playlists a player gets whose URL names a run. Players in
// browsers that come from before a restart get what they missed listed as missing. Others do not:
// ffmpeg and VLC ask for such segments.
func (h *Handler) edition(form int, run, agent string) edition {
	e := edition{form: form, after: h.run.after(run)}
	if e.after > 0 && strings.HasPrefix(agent, "Mozilla/") {
		e.began = h.run.exact
	}
	return e
}

// missed returns how many segments the playlist lists as missing in front of its first one, for a
// player that comes from before the start of this run at began; none once the stream's first
// segment has left the playlist. hls.js, where its own playlist has expired meanwhile, looks for the
// time of day at which its last segment ended, and loads nothing from a playlist that begins later.
func (v *view) missed(began time.Time) uint64 {
	first := v.listed()[0]
	if began.IsZero() || first.seq != v.first {
		return 0
	}
	target := time.Duration(v.target) * time.Second
	n := steps(first.wall.Sub(began)+downtime+target-1, target)
	if n > mostMissed {
		return 0
	}
	// The run before may have used the sequences up to that of its end; all of them only with segments
	// of the shortest length.
	used := sequence(began)
	if first.duration >= 3*shortest {
		used -= min(used, 2)
	}
	return min(n, first.seq-min(first.seq, used+1))
}

// renderMissed writes n segments that are missing, in front of the first one, and returns the init
// section that is in force behind them.
func (v *view) renderMissed(b *strings.Builder, n uint64) *initSection {
	first := v.listed()[0]
	fmt.Fprintf(b, "#EXT-X-MAP:URI=\"init-%s.mp4\"\n", first.init.id)
	target := time.Duration(v.target) * time.Second
	for ; n > 0; n-- {
		at := first.wall.Add(-time.Duration(n) * target) //nolint:gosec // mostMissed at the most
		fmt.Fprintf(b, "#EXT-X-GAP\n#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%s,\n%d-missing.m4s\n",
			at.UTC().Format("2006-01-02T15:04:05.000Z"), seconds(target), first.seq-n)
	}
	return first.init
}

// gone returns the error for a file that is not there. Players that come from before a restart of
// the relay ask for files of then until they have a new playlist, and would end at a 404.
func (h *Handler) gone(ctx context.Context, stream string) error {
	if h.opts.Restarted == nil {
		return errGone
	}
	ctx, cancel := context.WithTimeout(ctx, restartWait)
	defer cancel()
	if h.opts.Restarted(ctx, stream) {
		return errRestarted
	}
	return errGone
}
