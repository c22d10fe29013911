package publisher

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// paced is frames at 25 a second, a keyframe each gop of them, delayed as said.
func paced(n, gop int, delay func(i int) time.Duration) *rhythm {
	m, begin := &rhythm{}, time.Unix(1000, 0)
	for i := range n {
		dts := time.Duration(i) * 40 * time.Millisecond
		p := &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Delta, DTS: dts}
		if i%gop == 0 {
			p.Kind = packetbuf.Key
		}
		m.note(begin.Add(dts+delay(i)), p)
	}
	return m
}

func TestRhythm(t *testing.T) {
	even := paced(500, 50, func(int) time.Duration { return 0 })
	if even.jitter() != 0 || even.interval != 2*time.Second {
		t.Errorf("an even push: jitter %v, a keyframe every %v", even.jitter(), even.interval)
	}
	// Two delays, each uniform up to 30 ms, differ by 10 ms in the mean.
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that repeats
	var sum float64
	const rounds = 50
	for range rounds {
		m := paced(500, 50, func(int) time.Duration { return time.Duration(r.Int64N(int64(30 * time.Millisecond))) })
		sum += m.jitter().Seconds()
	}
	if mean := sum / rounds; math.Abs(mean-0.01) > 0.002 {
		t.Errorf("jitter of %v s in the mean, want 0.01", mean)
	}
}

// One keyframe tells nothing of the next, nor do timestamps that begin anew; audio alone has
// its own jitter.
func TestRhythmOfLittle(t *testing.T) {
	if m := paced(100, 1000, func(int) time.Duration { return 0 }); m.interval != 0 {
		t.Errorf("one keyframe, and the next after %v", m.interval)
	}
	m, now := &rhythm{}, time.Unix(1000, 0)
	for _, dts := range []time.Duration{time.Hour, time.Hour + time.Second, 0, 1500 * time.Millisecond, time.Minute} {
		m.note(now, &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Key, DTS: dts})
		now = now.Add(time.Second)
	}
	if m.interval != 1500*time.Millisecond || m.jitter() > time.Second {
		t.Errorf("a keyframe every %v, jitter %v", m.interval, m.jitter())
	}
	m = &rhythm{}
	for i := range 100 {
		now = now.Add(time.Duration(20+10*(i%2)) * time.Millisecond)
		m.note(now, &packetbuf.Packet{Track: packetbuf.Audio, DTS: time.Duration(i) * 25 * time.Millisecond})
	}
	if j := m.jitter(); j < 4*time.Millisecond || j > 6*time.Millisecond {
		t.Errorf("audio whose spacing is 5 ms off has jitter %v", j)
	}
}
