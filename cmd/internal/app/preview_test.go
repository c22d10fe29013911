package app

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A preview reads a moment of a stream and not its entire GOP, which may fill the buffer.
func TestPreviewOfLongGOP(t *testing.T) {
	a := start(t, nil)
	const bits = 8_000_000
	publish(t, a, gen.Options{GOP: 600, VideoBitrate: bits}).pushFor(t, 18*time.Second)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := a.preview(t.Context(), "live/bench")
	a.previews.Close() // waits for what it began
	runtime.ReadMemStats(&after)
	if err != nil || len(p.Data) == 0 {
		t.Fatalf("got %d bytes, %v", len(p.Data), err)
	}
	// Its keyframe twice, in chunk and response, and two seconds of the rest.
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(2*len(p.Data)+2*bits/8+1<<20); took > most { //nolint:gosec // not negative
		t.Errorf("got %d bytes were allocated, at most %d are needed", took, most)
	}
}

// A keyframe that nothing follows is shown, too: that of slides, or of a publisher that has just
// broken and has no filler.
func TestPreviewOfLastPicture(t *testing.T) {
	a := start(t, func(c *configs.Config) { c.Defaults.Filler = "none" })
	s := publish(t, a, gen.Options{NoAudio: true, GOP: 30})
	s.pushFor(t, 2*time.Second)
	for s.push(t).Kind != packetbuf.Key {
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	p, err := a.preview(ctx, "live/bench")
	if err != nil || len(p.Data) == 0 {
		t.Errorf("got %d bytes, %v", len(p.Data), err)
	}
}
