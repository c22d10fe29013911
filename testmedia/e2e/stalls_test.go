//go:build unix

package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A push stalls at random on one connection, for 0.3 to 12 s, with or without what fell due
// meanwhile: no viewer's media stands still for more than 1.5 s, each is as late afterwards as
// before, and of what was made from the first keyframe after the stall on nothing is lost.
// E2E_STALLS says how many stalls there are, and has them differ each time.
func TestRandomStalls(t *testing.T) {
	t.Parallel()
	stalls, seed, most := 2, uint64(3), 4*time.Second
	if s := os.Getenv("E2E_STALLS"); s != "" {
		var err error
		if stalls, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		seed, most = uint64(time.Now().UnixNano())+uint64(os.Getpid()), 12*time.Second
		t.Logf("seed %d", seed)
	}
	chance := rand.New(rand.NewPCG(seed, 2))
	r := start(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.atLeast(20)
	viewers := both(t, r, stream)
	p.atLeast(400)
	longest, latest := time.Duration(0), time.Duration(0)
	for range stalls {
		length := 300*time.Millisecond + time.Duration(chance.Int64N(int64(most-300*time.Millisecond)))
		p.halt()
		stopped := time.Now()
		wait(t, length)
		back := time.Now()
		if chance.IntN(2) == 0 {
			p.thaw()
		} else {
			p.skip()
		}
		wait(t, 6500*time.Millisecond) // of media after the stall, at the pace of the publisher
		for _, v := range viewers {
			v.watching()
			if got := v.stoodStill(stopped.Add(-time.Second)); got > slack(1500*time.Millisecond) {
				t.Errorf("stall of %v: media of the %s viewer stood still for %v, want at most 1.5s", length, v.name, got)
			} else {
				longest = max(longest, got)
			}
			later := v.laterBy(back)
			if later.Abs() > slack(300*time.Millisecond) {
				t.Errorf("stall of %v: the %s viewer is %v later afterwards, want at most 300ms", length, v.name, later)
			}
			latest = max(latest, later.Abs())
			v.hasAll(p, back)
		}
	}
	p.halt()
	t.Logf("media stood still for %v at the most; viewers were later by %v", longest, latest)
}

// stoodStill returns the longest time since a moment in which the viewer received no media.
func (v *viewer) stoodStill(since time.Time) time.Duration {
	v.t.Helper()
	longest, last := time.Duration(0), since
	for _, f := range v.frames.all() {
		if f.at.Before(since) || f.config {
			continue
		}
		longest = max(longest, f.at.Sub(last))
		last = f.at
	}
	return longest
}

// hasAll asserts that the viewer has received all video that p made from its first keyframe
// after a moment on, but for the newest, which may be under way.
func (v *viewer) hasAll(p *publisher, since time.Time) {
	v.t.Helper()
	seen := map[uint64]bool{}
	for _, f := range v.frames.all() {
		if f.track == packetbuf.Video && !f.config && !f.filler {
			seen[f.id.Number] = true
		}
	}
	sent, begun := p.sent.all(), false
	for _, f := range sent[:len(sent)-100] {
		if f.id.Track != packetbuf.Video || f.at.Before(since.Add(time.Second)) {
			continue
		}
		begun = begun || f.id.Number%30 == 0 // a keyframe
		if begun && !seen[f.id.Number] {
			v.t.Fatalf("the %s viewer misses frame %d", v.name, f.id.Number)
		}
	}
}
