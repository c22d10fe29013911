package whip

import (
	"math/rand/v2"
	"testing"
	"time"
)

// ntp returns a wall clock in the format of sender reports.
func ntp(d time.Duration) uint64 {
	return uint64(d/time.Second)<<32 | uint64(d%time.Second)<<32/uint64(time.Second)
}

// fakeTrack is a publisher's track. Its timestamps and, in reports, its wall clock follow from the time
// of capture.
type fakeTrack struct {
	clock *trackClock
	rate  float64
	first uint32
	late  time.Duration // how much later it arrives than it was captured
	last  time.Duration
	ahead bool // some packet stood before the one before it
	begun bool
}

func (s *fakeTrack) ts(at time.Duration) uint32 { return s.first + uint32(int64(at.Seconds()*s.rate)) }

// send delivers media captured at a time. It returns the time given to it minus the time of capture.
func (s *fakeTrack) send(at time.Duration) time.Duration {
	place := s.clock.timeOf(time.Unix(1000, 0).Add(at+s.late), s.ts(at))
	s.ahead = s.ahead || s.begun && place < s.last
	s.last, s.begun = place, true
	return place - at
}

func (s *fakeTrack) report(at time.Duration) { s.clock.report(ntp(1e6*time.Second+at), s.ts(at)) }

// TestLipSync delivers audio and video at different delays: reports must align them.
func TestLipSync(t *testing.T) {
	for _, c := range []struct {
		name         string
		first        uint32        // timestamp of pictures
		late         time.Duration // of pictures
		drift        float64       // of the pictures' timestamps
		within, most time.Duration
	}{
		{"pictures 200 ms late", 7, 200 * time.Millisecond, 0, 8 * time.Second, time.Millisecond},
		{"pictures 200 ms early", 7, -200 * time.Millisecond, 0, 8 * time.Second, time.Millisecond},
		{"at the end of the numbers", 1<<32 - 90_000, 120 * time.Millisecond, 0, 6 * time.Second, time.Millisecond},
		{"a clock that is fast", 7, 100 * time.Millisecond, 100e-6, 6 * time.Second, 2 * time.Millisecond},
		{"a clock that is slow", 7, 100 * time.Millisecond, -100e-6, 6 * time.Second, 2 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all clocks
			sound := &fakeTrack{clock: all.newTrack(48000), rate: 48000, first: 1<<32 - 480_000}
			pictures := &fakeTrack{clock: all.newTrack(90000), rate: 90000 * (1 + c.drift), first: c.first, late: c.late}
			sound.report(0) // before any packet
			var apart, before time.Duration
			for at := time.Duration(0); at < 120*time.Second; at += 20 * time.Millisecond {
				a := sound.send(at)
				v := pictures.send(at)
				apart = v - a
				if at == 0 {
					if apart != c.late {
						t.Fatalf("at the start: got %v apart, want %v", apart, c.late)
					}
				} else if step := (apart - before).Abs(); step > 3*time.Millisecond {
					t.Fatalf("got a step of %v at %v", step, at)
				}
				if before = apart; at > c.within && apart.Abs() > c.most {
					t.Fatalf("got %v apart at %v", apart, at)
				}
				if at%time.Second == 500*time.Millisecond {
					sound.report(at)
					pictures.report(at)
				}
			}
			if sound.ahead || pictures.ahead {
				t.Error("got times that go back")
			}
		})
	}
}

// TestClockWraps passes the end of the timestamps twice, with packets out of order.
func TestClockWraps(t *testing.T) {
	var all clocks
	c := all.newTrack(90000)
	chance := rand.New(rand.NewPCG(1, 2))
	first, step := uint32(1<<32-5), int64(90000*60)
	for i := range int64(2 * (1 << 32) / (90000 * 60)) {
		at := i * step
		if i > 0 && chance.IntN(3) == 0 {
			at -= chance.Int64N(step)
		}
		got := c.timeOf(time.Unix(0, 0), first+uint32(at))
		want := time.Duration(at/90000)*time.Second + time.Duration(at%90000)*time.Second/90000
		if got != want {
			t.Fatalf("timestamp %d: got %v, want %v", at, got, want)
		}
	}
}

// TestReports sends useless and implausible reports.
func TestReports(t *testing.T) {
	const at = 10 * time.Second
	for _, c := range []struct {
		name string
		off  time.Duration // of video's wall clock
		want time.Duration // correction of video by the next packet; of audio if negative
	}{
		{"right", 0, 0},
		{"a little off", 300 * time.Millisecond, maxCorrection},
		{"far off", 3 * time.Second, 3 * time.Second},
		{"far off the other way", -3 * time.Second, -3 * time.Second},
		{"of another clock", 70 * 365 * 24 * time.Hour, 0},
		{"of another clock, the other way", -at - 1e5*time.Second, 0},
	} {
		var all clocks
		sound := &fakeTrack{clock: all.newTrack(48000), rate: 48000}
		pictures := &fakeTrack{clock: all.newTrack(90000), rate: 90000}
		sound.send(0)
		pictures.send(0)
		sound.report(at)
		pictures.clock.report(0, 1) // none
		pictures.clock.report(ntp(1e6*time.Second+at+c.off), pictures.ts(at))
		if got := pictures.send(at).Round(time.Microsecond); got != max(c.want, 0) {
			t.Errorf("%s: got a correction of %v, want %v", c.name, got, c.want)
		}
		if got := sound.send(at).Round(time.Microsecond); got != max(-c.want, 0) {
			t.Errorf("%s: got a correction of audio by %v", c.name, got)
		}
	}
}

func TestREMBScheduler(t *testing.T) {
	type step struct {
		at   time.Duration
		bits int64
		say  int64 // 0: nothing
	}
	for name, steps := range map[string][]step{
		"never a ceiling":   {{0, 0, 0}, {5 * time.Second, 0, 0}},
		"told every second": {{0, 300e3, 300e3}, {10 * time.Millisecond, 300e3, 0}, {999 * time.Millisecond, 300e3, 0}, {time.Second, 300e3, 300e3}, {2 * time.Second, 300e3, 300e3}},
		"changed":           {{0, 300e3, 300e3}, {10 * time.Millisecond, 400e3, 400e3}, {500 * time.Millisecond, 400e3, 0}, {1010 * time.Millisecond, 400e3, 400e3}},
		"lifted": {
			{0, 300e3, 300e3},
			{10 * time.Millisecond, 0, noCeiling},
			{20 * time.Millisecond, 0, 0},
			{1010 * time.Millisecond, 0, noCeiling},
			{2010 * time.Millisecond, 0, noCeiling},
			{3010 * time.Millisecond, 0, noCeiling},
			{4010 * time.Millisecond, 0, noCeiling},
			{5010 * time.Millisecond, 0, noCeiling},
			{6010 * time.Millisecond, 0, 0},
			{60 * time.Second, 0, 0},
			{61 * time.Second, 300e3, 300e3},
			{62 * time.Second, 0, noCeiling},
		},
	} {
		var told rembScheduler
		for _, s := range steps {
			if say, ok := told.next(time.Unix(1000, 0).Add(s.at), s.bits); say != s.say || ok != (s.say != 0) {
				t.Errorf("%s: at %v with %d: got %d, %v, want %d", name, s.at, s.bits, say, ok, s.say)
			}
		}
	}
	var s session
	for bits, want := range map[float64]int64{0: 0, -5: 0, 1: minCeiling, 1e6: 1e6} {
		if s.Limit(bits); s.ceiling.Load() != want {
			t.Errorf("limit %v: got %d, want %d", bits, s.ceiling.Load(), want)
		}
	}
}
