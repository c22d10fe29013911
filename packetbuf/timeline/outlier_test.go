package timeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// sentPacket is one packet of a test's publisher.
type sentPacket struct {
	track  packetbuf.Track
	actual time.Duration // its real time on the publisher's clock
	said   time.Duration // the decode time that the publisher sends
	wall   time.Duration // when it arrives
}

// placeAll places packets in order and returns their decode and presentation times.
func placeAll(t interface{ Fatalf(string, ...any) }, tl *Timeline, packets []sentPacket) (dts, pts []time.Duration) {
	last := map[packetbuf.Track]time.Duration{}
	for i, s := range packets {
		p := video(s.said, s.wall)
		p.Track = s.track
		if i == 0 {
			splice(t, tl, p)
		} else if !tl.Place(p) {
			t.Fatalf("packet %d of %v: got late, want placed", i, s.track)
		}
		if before, ok := last[s.track]; ok && p.DTS <= before {
			t.Fatalf("packet %d: got %v at %v after %v, want rising times", i, s.track, p.DTS, before)
		}
		last[s.track] = p.DTS
		dts, pts = append(dts, p.DTS), append(pts, p.PTS())
	}
	return dts, pts
}

// A single frame with a time ahead or back gets another time: the clock keeps following the arrivals,
// and audio stays in sync with video.
func TestLoneFrameDoesNotMoveTheClock(t *testing.T) {
	for _, by := range []time.Duration{300 * ms, 2500 * ms, 10 * time.Second, time.Hour, -300 * ms, -2500 * ms, -time.Hour} {
		for _, withAudio := range []bool{false, true} {
			t.Run(fmt.Sprint(by, withAudio), func(t *testing.T) {
				var packets []sentPacket
				lone := 0
				for i := range 2000 {
					at := time.Duration(i) * 33 * ms
					said := 2*time.Hour + at
					if i%50 == 49 {
						said += by
						lone++
					}
					packets = append(packets, sentPacket{packetbuf.Video, at, said, at})
					if withAudio {
						packets = append(packets, sentPacket{packetbuf.Audio, at, 2*time.Hour + at, at})
					}
				}
				var tl Timeline
				dts, _ := placeAll(t, &tl, packets)
				for i, p := range packets {
					if off := dts[i] - p.actual; off.Abs() > 50*ms {
						t.Fatalf("packet %d, %v: got %v, want %v", i, p.track, dts[i], p.actual)
					}
				}
				end := packets[len(packets)-1].wall
				if got := tl.Clock(packetbuf.Video, epoch.Add(end)); (got - end).Abs() > 50*ms {
					t.Errorf("clock after %v: got %v", end, got)
				}
				if got := tl.Corrections(packetbuf.Video); got != uint64(lone) {
					t.Errorf("got %d corrections, want %d", got, lone)
				}
			})
		}
	}
}

// Presentation times instead of decode times, with B-frames: decode times are derived, presentation
// times are kept, and audio stays in sync.
func TestPresentationTimesAsDecodeTimes(t *testing.T) {
	orders := map[string][]int{ // decode order of a group, by output position
		"two B-frames":      {3, 1, 2},
		"one B-frame":       {2, 1},
		"pyramid of three":  {4, 2, 1, 3},
		"pyramid of seven":  {8, 4, 2, 1, 3, 6, 5, 7},
		"three in sequence": {4, 1, 2, 3},
	}
	for name, group := range orders {
		for _, step := range []time.Duration{200 * ms, 33 * ms, 17 * ms} {
			for _, declared := range []bool{true, false} {
				t.Run(fmt.Sprint(name, step, declared), func(t *testing.T) {
					var tl Timeline
					if declared {
						tl.SetReorder(len(group)/2, true)
					}
					packets := []sentPacket{{packetbuf.Video, 0, 0, 0}}
					for g := range 200 {
						for i, at := range group {
							wall := time.Duration(1+g*len(group)+i) * step
							shown := time.Duration(g*len(group)+at) * step
							packets = append(packets, sentPacket{packetbuf.Video, shown, shown, wall}, sentPacket{packetbuf.Audio, wall, wall, wall})
						}
					}
					dts, pts := placeAll(t, &tl, packets)
					for i, p := range packets {
						if !declared && i < len(packets)/4 {
							continue // it takes some frames to detect
						}
						if p.track == packetbuf.Video && pts[i] != p.actual {
							t.Fatalf("packet %d: got PTS %v, want %v", i, pts[i], p.actual)
						}
						if p.track == packetbuf.Video && dts[i] > pts[i] {
							t.Fatalf("packet %d: got DTS %v after PTS %v", i, dts[i], pts[i])
						}
						if p.track == packetbuf.Audio && dts[i] != p.actual {
							t.Fatalf("audio %d: got %v, want %v", i, dts[i], p.actual)
						}
					}
					end := packets[len(packets)-1].wall
					if got := tl.Clock(packetbuf.Audio, epoch.Add(end)); (got - end).Abs() > 50*ms {
						t.Errorf("clock after %v: got %v", end, got)
					}
				})
			}
		}
	}
}

// Real decode times with composition offsets are kept, whatever the configuration declares.
func TestRealDecodeTimesAreKept(t *testing.T) {
	var tl Timeline
	tl.SetReorder(2, true)
	for i := range 300 {
		at := time.Duration(i) * 40 * ms
		p := video(at, at)
		p.CTO = []time.Duration{80, 160, 40, 0}[i%4] * ms
		if i == 0 {
			splice(t, &tl, p)
		} else {
			tl.Place(p)
		}
		if p.DTS != at || p.CTO != []time.Duration{80, 160, 40, 0}[i%4]*ms {
			t.Fatalf("frame %d: got DTS %v, composition offset %v, want them unchanged", i, p.DTS, p.CTO)
		}
	}
}

// A step that persists is believed, on one track or on both: nothing goes back, the clock keeps
// following the arrivals, and tracks that stepped together stay in sync.
func TestStepThatPersists(t *testing.T) {
	for _, by := range []time.Duration{700 * ms, 2500 * ms, 20 * time.Second, -700 * ms, -2500 * ms, -time.Hour} {
		for _, lag := range []int{0, 1, 5} {
			t.Run(fmt.Sprint(by, lag), func(t *testing.T) {
				var packets []sentPacket
				for i := range 600 {
					at := time.Duration(i) * 33 * ms
					v, a := sentPacket{packetbuf.Video, at, 2*time.Hour + at, at}, sentPacket{packetbuf.Audio, at + 10*ms, 2*time.Hour + at + 10*ms, at + 10*ms}
					if i >= 300 {
						v.said += by
					}
					if i >= 300+lag {
						a.said += by
					}
					packets = append(packets, v, a)
				}
				var tl Timeline
				dts, _ := placeAll(t, &tl, packets)
				for i, p := range packets {
					if off := dts[i] - p.actual; off.Abs() > 100*ms {
						t.Fatalf("packet %d, %v: got %v, want about %v", i, p.track, dts[i], p.actual)
					}
				}
				n := len(packets)
				if got := dts[n-1] - dts[n-2]; got != 10*ms {
					t.Errorf("got audio %v behind video, want 10ms", got)
				}
			})
		}
	}
}

// Whatever outliers, swapped neighbours and clock rate a publisher has, and however its packets are
// delayed, packets with correct times are placed by the publisher's clock, and the stream's clock
// follows the earliest arrivals.
func TestOutliersSwapsAndRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := time.Duration(rapid.SampledFrom([]int{200, 100, 40, 33, 17}).Draw(t, "step")) * ms
		rate := rapid.SampledFrom([]float64{0.999, 0.9999, 1, 1.0001, 1.001}).Draw(t, "rate")
		delay := rapid.SampledFrom([]int{0, 0, 20, 100}).Draw(t, "delay")
		n := int(30 * time.Second / step)
		outliers := rapid.SliceOfN(rapid.IntRange(10, n-1), 0, n/10).Draw(t, "outliers")
		wrong := map[int]bool{}
		for _, i := range outliers {
			if !wrong[i-1] && !wrong[i+1] {
				wrong[i] = true
			}
		}
		var packets []sentPacket
		wall := time.Duration(0)
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for i := range n {
			at := time.Duration(i) * step
			wall = max(wall, at+time.Duration(chance.IntN(delay+1))*ms)
			real := time.Duration(float64(at) * rate).Round(ms)
			p := sentPacket{packetbuf.Video, real, time.Hour + real, wall}
			if wrong[i] {
				by := time.Duration(rapid.IntRange(-20_000, 20_000).Draw(t, "by")) * ms
				p.said += by
				p.actual = -1
			}
			packets = append(packets, p)
		}
		for _, i := range rapid.SliceOfN(rapid.IntRange(10, n-2), 0, n/20).Draw(t, "swaps") {
			if !wrong[i] && !wrong[i+1] && !wrong[i-1] {
				packets[i].said, packets[i+1].said = packets[i+1].said, packets[i].said
				packets[i].actual, packets[i+1].actual = packets[i+1].actual, packets[i].actual
				wrong[i], wrong[i+1] = true, true
			}
		}
		var tl Timeline
		tl.SetReorder(0, true)
		dts, _ := placeAll(t, &tl, packets)
		for i, p := range packets {
			if !wrong[i] && (dts[i]-p.actual).Abs() > 50*ms+step+time.Duration(delay)*ms {
				t.Fatalf("packet %d: got %v, want %v", i, dts[i], p.actual)
			}
		}
		end := packets[n-1]
		got, want := tl.clock(packetbuf.Video, epoch.Add(time.Duration(n-1)*step)), time.Duration(float64(time.Duration(n-1)*step)*rate)
		if (got - want).Abs() > 60*ms+time.Duration(delay)*ms {
			t.Errorf("clock: got %v, want %v (last packet at %v)", got, want, end.wall)
		}
	})
}

// Slides with audio that are sent faster than real time keep their times: a packet that steps far
// ahead of its arrival is in step with the other track.
func TestSlidesFasterThanRealTime(t *testing.T) {
	var packets []sentPacket
	for i := range 3000 {
		at := time.Duration(i) * 20 * ms
		if i%150 == 0 {
			packets = append(packets, sentPacket{packetbuf.Video, at, at, at / 20})
		}
		packets = append(packets, sentPacket{packetbuf.Audio, at, at, at / 20})
	}
	var tl Timeline
	dts, _ := placeAll(t, &tl, packets)
	for i, p := range packets {
		if dts[i] != p.actual {
			t.Fatalf("packet %d, %v: got %v, want %v", i, p.track, dts[i], p.actual)
		}
	}
}

// Outliers on one track do not affect the other.
func TestOutliersKeepLipSync(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var packets []sentPacket
		var outliers []int // no two adjacent: two that continue each other are a step
		for _, i := range rapid.SliceOfN(rapid.IntRange(10, 700), 0, 60).Draw(t, "outliers") {
			if !slices.Contains(outliers, i-1) && !slices.Contains(outliers, i+1) {
				outliers = append(outliers, i)
			}
		}
		for i := range 700 {
			at := time.Duration(i) * 33 * ms
			v := sentPacket{packetbuf.Video, at, at, at}
			if slices.Contains(outliers, i) {
				v.said += time.Duration(rapid.IntRange(-5_000, 5_000).Draw(t, "by")) * ms
				v.said = max(0, v.said)
				v.actual = -1
			}
			packets = append(packets, v, sentPacket{packetbuf.Audio, at + 5*ms, at + 5*ms, at + 5*ms})
		}
		var tl Timeline
		tl.SetReorder(0, true)
		dts, _ := placeAll(t, &tl, packets)
		for i, p := range packets {
			if p.track == packetbuf.Audio && dts[i] != p.actual {
				t.Fatalf("audio %d: got %v, want %v", i, dts[i], p.actual)
			}
			if p.actual >= 0 && (dts[i]-p.actual).Abs() > 100*ms {
				t.Fatalf("packet %d: got %v, want %v", i, dts[i], p.actual)
			}
		}
	})
}
