package app

import (
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A preview takes a moment of a stream and not all of its GOP, which may be as large as the
// buffer.
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
		t.Fatalf("%d bytes, %v", len(p.Data), err)
	}
	// Its keyframe twice, in chunk and answer, and two seconds of the rest.
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(2*len(p.Data)+2*bits/8+1<<20); took > most { //nolint:gosec // not negative
		t.Errorf("%d bytes were allocated, at most %d are needed", took, most)
	}
}
