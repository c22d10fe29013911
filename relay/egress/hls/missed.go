package hls

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// maxDowntime is the maximum time of a restart until the next instance starts, plus how far
	// behind a player may be.
	maxDowntime = 15 * time.Second
	// maxMissed is the maximum number of segments that are listed as missing.
	maxMissed = 60
	// restartWait is how long a request for a file from before a restart waits; players give up
	// after 10 s.
	restartWait = 8 * time.Second
)

// playlistKey returns which of a view's playlists a player gets whose URL names an instance.
// Players in browsers from before a restart get the segments that they missed listed as gaps.
// Others do not, because ffmpeg and VLC request such segments.
func (h *Handler) playlistKey(form int, run, agent string) playlistKey {
	e := playlistKey{form: form, discontinuityOffset: h.instance.discontinuityOffset(run)}
	if e.discontinuityOffset > 0 && strings.HasPrefix(agent, "Mozilla/") {
		e.restart = h.instance.exactStart
	}
	return e
}

// missed returns how many segments the playlist lists as gaps before its first one, for a player
// from before the start of this instance at began. It returns 0 once the stream's first segment
// has left the playlist. If hls.js finds that its own playlist has expired, it looks for the
// time of day at which its last segment ended, and loads nothing from a playlist that begins
// later.
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
	// The previous instance may have used the sequence numbers up to that of its end, but only
	// with segments of minimum length.
	used := sequenceAt(began)
	if first.duration >= 3*minSegment {
		used -= min(used, 2)
	}
	return min(n, first.seq-min(first.seq, used+1))
}

// renderMissed writes n gap segments before the first one, and returns the init section in force
// after them.
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

// notFound returns the error for a file that does not exist. Players from before a restart of
// the relay request files from then until they have a new playlist, and would stop at a 404.
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
