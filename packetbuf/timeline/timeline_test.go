package timeline

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const ms = time.Millisecond

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func video(raw time.Duration, at time.Duration) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Key, DTS: raw % wrap, Arrived: epoch.Add(at)}
}

func audio(raw time.Duration, at time.Duration) *packetbuf.Packet {
	p := video(raw, at)
	p.Track = packetbuf.Audio
	return p
}

// splice splices p into tl and places it.
func splice(t interface{ Fatalf(string, ...any) }, tl *Timeline, p *packetbuf.Packet) time.Duration {
	tl.Break()
	tl.Splice(p)
	if !tl.Place(p) {
		t.Fatalf("first packet of a session: got late, want placed")
	}
	return p.DTS
}

// TestSessionsAgainstArithmetic pushes sessions that start anywhere in 32 bits and breaks of any
// length. Each packet's time is given by arithmetic: the wall clock since the first.
func TestSessionsAgainstArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tl Timeline
		wall := time.Duration(0)
		last := [2]time.Duration{-1, -1}
		for range rapid.IntRange(1, 6).Draw(t, "sessions") {
			start := time.Duration(rapid.Uint32().Draw(t, "start")) * ms
			delay := time.Duration(rapid.IntRange(0, 30).Draw(t, "delay")) * ms
			frames := rapid.IntRange(1, 200).Draw(t, "frames")
			first := wall
			for i := range frames {
				at := time.Duration(i) * 33 * ms
				packets := []*packetbuf.Packet{video(start+at, wall+at+delay), audio(start+at+5*ms, wall+at+delay)}
				for tr, p := range packets {
					if i == 0 && tr == 0 {
						splice(t, &tl, p)
					} else if !tl.Place(p) {
						t.Fatalf("frame %d of track %d: got late, want placed", i, tr)
					}
					if p.DTS <= last[tr] {
						t.Fatalf("track %d: got %v after %v, want rising times", tr, p.DTS, last[tr])
					}
					last[tr] = p.DTS
				}
				if d := packets[1].DTS - packets[0].DTS; d != 5*ms {
					t.Fatalf("lip-sync: got audio %v behind, want 5ms", d)
				}
				if off := packets[0].DTS - (first + at); off < -31*ms || off > 31*ms {
					t.Fatalf("clock: got %v off the wall clock, want at most 31ms", off)
				}
			}
			wall += time.Duration(frames)*33*ms + time.Duration(rapid.IntRange(50, 60000).Draw(t, "outage"))*ms
		}
	})
}

func TestLateArrivalsDoNotMoveTheClock(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(0, 0))
	for i := 1; i <= 100; i++ { // each is late by up to 300 ms; some are on time
		tl.Place(video(time.Duration(i)*40*ms, time.Duration(i)*40*ms+time.Duration(i*37%300)*ms))
	}
	if got := tl.Clock(packetbuf.Video, epoch.Add(10*time.Second)); got < 9990*ms || got > 10*time.Second {
		t.Errorf("clock after 10s: got %v", got)
	}
}

func TestBurstIsFollowed(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(0, 0))
	for i := 1; i <= 100; i++ { // four seconds of media at once
		if p := video(time.Duration(i)*40*ms, 10*ms); !tl.Place(p) || p.DTS != time.Duration(i)*40*ms {
			t.Fatalf("frame %d: got %v, want %v", i, p.DTS, time.Duration(i)*40*ms)
		}
	}
	if got := splice(t, &tl, video(77*ms, 1010*ms)); got != 5*time.Second {
		t.Errorf("splice a second after the burst: got %v, want 5s", got)
	}
}

func TestFirstPacketsBeforeTheKeyframe(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(100*ms, 0))
	if p := audio(90*ms, 0); tl.Place(p) {
		t.Errorf("audio from before the stream's start: got %v, want late", p.DTS)
	}
	if p := audio(110*ms, ms); !tl.Place(p) || p.DTS != 10*ms {
		t.Errorf("audio after the start: got %v, want 10ms", p.DTS)
	}
	tl.Fill(packetbuf.Audio, 950*ms)
	if got := splice(t, &tl, video(5*time.Second, time.Second)); got != time.Second {
		t.Errorf("splice: got %v, want 1s", got)
	}
	if p := audio(4940*ms, time.Second); tl.Place(p) {
		t.Errorf("audio that filler has covered: got %v, want late", p.DTS)
	}
	if p := audio(4960*ms, time.Second); !tl.Place(p) || p.DTS != 960*ms {
		t.Errorf("audio after the filler: got %v, want 960ms", p.DTS)
	}
}

func TestClockRestartsWithinASession(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back to zero": -time.Hour, "an hour ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			var tl Timeline
			start := 2 * time.Hour
			splice(t, &tl, video(start, 0))
			tl.Place(audio(start+10*ms, 0))
			lastVideo, lastAudio := time.Duration(0), 10*ms
			for i := 1; i < 60; i++ {
				at := time.Duration(i) * 40 * ms
				v, a := video(start+at, at), audio(start+at+10*ms, at)
				if i >= 30 { // video jumps first, audio five frames later
					v.DTS += jump
				}
				if i >= 35 {
					a.DTS += jump
				}
				if !tl.Place(v) || !tl.Place(a) {
					t.Fatalf("frame %d: got late, want placed", i)
				}
				if dv, da := v.DTS-lastVideo, a.DTS-lastAudio; dv < 39*ms || dv > 41*ms || da < 39*ms || da > 41*ms {
					t.Fatalf("frame %d: got steps of %v and %v, want 40ms", i, dv, da)
				}
				lastVideo, lastAudio = v.DTS, a.DTS
			}
		})
	}
}

func TestSmallStepsBackKeepPresentationTime(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(0, 0))
	for i, raw := range []time.Duration{120 * ms, 40 * ms, 80 * ms, 240 * ms} {
		p := video(raw, time.Duration(i)*40*ms)
		if !tl.Place(p) || p.PTS() != raw {
			t.Errorf("frame at %v: got DTS %v, PTS %v, want its own PTS", raw, p.DTS, p.PTS())
		}
	}
}

func TestWrap(t *testing.T) {
	var tl Timeline
	splice(t, &tl, video(wrap-40*ms, 0))
	for i := 1; i < 5; i++ {
		at := time.Duration(i) * 40 * ms
		if p := video(wrap-40*ms+at, at); !tl.Place(p) || p.DTS != at {
			t.Errorf("frame %d: got %v, want %v", i, p.DTS, at)
		}
	}
}

func TestDataIsPlacedWithTheNewestMedia(t *testing.T) {
	var tl Timeline
	p := &packetbuf.Packet{Track: packetbuf.Data, DTS: 77 * ms, Arrived: epoch}
	if tl.Place(p) {
		t.Error("data before the stream began: got placed, want not")
	}
	splice(t, &tl, video(time.Hour, 0))
	tl.Place(video(time.Hour+80*ms, 80*ms))
	if !tl.Place(p) || p.DTS != 80*ms {
		t.Errorf("data: got %v, want 80ms", p.DTS)
	}
}

func TestUnwrapIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "ref")) * ms
		step := time.Duration(rapid.Int64Range(-1<<31+1, 1<<31-1).Draw(t, "step")) * ms
		full := ref + step
		low := ((full % wrap) + wrap) % wrap
		if got := packetbuf.Nearest(low, ref); got != full {
			t.Fatalf("packetbuf.Nearest(%v, %v): got %v, want %v", low, ref, got, full)
		}
	})
}
