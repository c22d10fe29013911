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

// TestRandomStalls stalls a push at random on one connection, for 0.3 to 12 s, with or without the frames
// due in the meantime. Media of no viewer may stop for more than 1.5 s. Afterwards the delay of each
// viewer must be as before, and no frame may be lost from the first keyframe after the stall on.
// E2E_STALLS sets the number of stalls, which then differ in each run.
func TestRandomStalls(t *testing.T) {
	t.Parallel()
	stalls, seed, maximum := 2, uint64(3), 4*time.Second
	if s := os.Getenv("E2E_STALLS"); s != "" {
		var err error
		if stalls, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		seed, maximum = uint64(time.Now().UnixNano())+uint64(os.Getpid()), 12*time.Second
		t.Logf("seed %d", seed)
	}
	chance := rand.New(rand.NewPCG(seed, 2))
	r := startRelay(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.waitSent(20)
	viewers := watchRTMPAndFLV(t, r, stream)
	p.waitSent(400)
	longest, latest := time.Duration(0), time.Duration(0)
	for range stalls {
		length := 300*time.Millisecond + time.Duration(chance.Int64N(int64(maximum-300*time.Millisecond)))
		p.pause()
		stopped := time.Now()
		sleep(t, length)
		back := time.Now()
		if chance.IntN(2) == 0 {
			p.resume()
		} else {
			p.resumeLive()
		}
		sleep(t, 6500*time.Millisecond) // media after the stall, at the publisher's rate
		for _, v := range viewers {
			v.checkOpen()
			if got := v.longestPause(stopped.Add(-time.Second)); got > slack(1500*time.Millisecond) {
				t.Errorf("stall of %v: media of the %s viewer stopped for %v, want at most 1.5s", length, v.name, got)
			} else {
				longest = max(longest, got)
			}
			later := v.laterBy(back)
			if later.Abs() > slack(300*time.Millisecond) {
				t.Errorf("stall of %v: the %s viewer is %v later afterwards, want at most 300ms", length, v.name, later)
			}
			latest = max(latest, later.Abs())
			v.checkHasAll(p, back)
		}
	}
	p.pause()
	t.Logf("media stopped for at most %v; viewers were later by %v", longest, latest)
}

// longestPause returns the longest time since a moment in which the viewer received no media.
func (v *viewer) longestPause(since time.Time) time.Duration {
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

// checkHasAll checks that the viewer has received all video that p sent, from its first keyframe after a
// moment on. The newest frames may still be in flight.
func (v *viewer) checkHasAll(p *publisher, since time.Time) {
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
		begun = begun || f.id.Number%30 == 0 // every 30th frame is a keyframe
		if begun && !seen[f.id.Number] {
			v.t.Fatalf("the %s viewer misses frame %d", v.name, f.id.Number)
		}
	}
}
