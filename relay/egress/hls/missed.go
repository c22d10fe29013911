package hls

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// maxDowntime is the maximum time from the end of one instance to the start of the next, plus
	// how far a player may be behind.
	maxDowntime = 15 * time.Second
	// maxMissed is the maximum number of segments that a playlist lists as gaps.
	maxMissed = 60
	// restartWait is how long a request for a file from before a restart waits for the stream.
	// Players give up after 10 s.
	restartWait = 8 * time.Second
)

// playlistKey returns the key of the playlist for a player. run is the instance that the player's
// URL names. For browsers from before a restart, the playlist lists the segments that they missed
// as gaps. For other players it does not, because ffmpeg and VLC request such segments.
func (h *Handler) playlistKey(form int, run, agent string) playlistKey {
	e := playlistKey{form: form, discontinuityOffset: h.instance.discontinuityOffset(run)}
	if e.discontinuityOffset > 0 && strings.HasPrefix(agent, "Mozilla/") {
		e.restart = h.instance.exactStart
	}
	return e
}

// missed returns the number of segments that the playlist lists as gaps before its first segment.
// began is the start of this instance, for a player from before that; the zero Time means that
// there are no gaps. The number is 0 once the stream's first segment has left the playlist. The
// gaps are for hls.js: when its own playlist has expired, it looks for the time of day at which its
// last segment ended, and loads nothing from a playlist that begins later.
func (v *view) missed(began time.Time) uint64 {
	first := v.listed()[0]
	if began.IsZero() || first.seq != v.first {
		return 0
	}
	target := time.Duration(v.target) * time.Second
	n := steps(first.wall.Sub(began)+maxDowntime+target-1, target)
	if n > maxMissed {
		return 0
	}
	// The previous instance may have used all sequence numbers up to that of its end. But it has
	// used the last ones only with segments of minimum duration.
	used := sequenceAt(began)
	if first.duration >= 3*minSegment {
		used -= min(used, 2)
	}
	return min(n, first.seq-min(first.seq, used+1))
}

// renderMissed writes n gaps before the first segment. It returns the init section in force after
// them.
func (v *view) renderMissed(b *strings.Builder, n uint64) *initSection {
	first := v.listed()[0]
	fmt.Fprintf(b, "#EXT-X-MAP:URI=\"init-%s.mp4\"\n", first.init.id)
	target := time.Duration(v.target) * time.Second
	for ; n > 0; n-- {
		at := first.wall.Add(-time.Duration(n) * target) //nolint:gosec // at most maxMissed
		fmt.Fprintf(b, "#EXT-X-GAP\n#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%s,\n%d-missing.m4s\n",
			at.UTC().Format("2006-01-02T15:04:05.000Z"), seconds(target), first.seq-n)
	}
	return first.init
}

// notFound returns the error for a file that does not exist. Players from before a restart of the
// relay request files from that time until they have a new playlist, and a 404 would make them
// stop. For them the error is errRestarted.
func (h *Handler) notFound(ctx context.Context, stream string) error {
	if h.opts.Restarted == nil {
		return errNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, restartWait)
	defer cancel()
	if h.opts.Restarted(ctx, stream) {
		return errRestarted
	}
	return errNotFound
}
