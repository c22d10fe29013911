package audiogap

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const ms = time.Millisecond

func aacConfig(t testing.TB) *packetbuf.Packet {
	t.Helper()
	config, ok := codec.AACConfig(48000, 2)
	if !ok {
		t.Fatal("no AAC configuration")
	}
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: config}
}

func opusConfig() *packetbuf.Packet {
	head := codec.OpusHead{Channels: 2, PreSkip: 312, Rate: codec.OpusRate}.Append(nil)
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Config, Payload: head}
}

// line is a muxed stream as a viewer has it: what the track under test was given and what it
// made, in the order of the ring.
type line struct {
	t      Track
	video  []time.Duration
	audio  []time.Duration
	made   int
	lost   int
	behind time.Duration // the furthest that audio ended behind a video packet
}

func (l *line) addVideo(dts time.Duration) {
	l.silence(l.t.Video(dts))
	l.video = append(l.video, dts)
	if end, begun := l.t.End(); begun {
		l.behind = max(l.behind, dts-end)
	}
}

func (l *line) addAudio(codec packetbuf.Codec, dts time.Duration) {
	if l.t.Late(dts) {
		l.lost++
		return
	}
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: codec, Kind: packetbuf.Delta, DTS: dts, Payload: []byte{0xfc, 0xff, 0xfe}}
	l.silence(l.t.Audio(p))
	l.audio = append(l.audio, dts)
}

func (l *line) silence(frames []*packetbuf.Packet) {
	l.made += len(frames)
	for _, p := range frames {
		l.audio = append(l.audio, p.DTS)
	}
}

// gap returns the longest step between two audio packets, and whether all steps go forward.
func (l *line) gap() (longest time.Duration, rising bool) {
	rising = true
	for i, at := range l.audio[1:] {
		longest = max(longest, at-l.audio[i])
		rising = rising && at > l.audio[i]
	}
	return longest, rising
}

func (l *line) check(t interface{ Errorf(string, ...any) }, behind time.Duration) {
	longest, rising := l.gap()
	if longest > 100*ms || !rising {
		t.Errorf("longest audio gap %v, rising %v; want at most 100ms", longest, rising)
	}
	if l.behind > behind {
		t.Errorf("audio ends %v behind video; want at most %v", l.behind, behind)
	}
}

func frameTime(n int) time.Duration {
	return (time.Duration(n) * 1024 * time.Second / 48000).Round(ms)
}

// play gives frames of 30 fps video and of AAC audio in the order of their arrival: audio at
// lag(n) behind its video, or not at all where that is negative. No frame overtakes another.
func (l *line) play(seconds int, lag func(n int) time.Duration) {
	type arrival struct{ dts, due time.Duration }
	var queue []arrival
	n, newest := 0, time.Duration(0)
	for v := range 30 * seconds {
		now := time.Duration(v) * time.Second / 30
		for ; frameTime(n) <= now; n++ {
			if d := lag(n); d >= 0 {
				newest = max(newest, frameTime(n)+d)
				queue = append(queue, arrival{frameTime(n), newest})
			}
		}
		for len(queue) > 0 && queue[0].due <= now {
			l.addAudio(packetbuf.AAC, queue[0].dts)
			queue = queue[1:]
		}
		l.addVideo(now.Round(ms))
	}
}

func newLine(t testing.TB) *line {
	l := &line{}
	l.t.Configure(aacConfig(t))
	l.t.Begin(0)
	return l
}

func TestSteadyAudioIsLeftAlone(t *testing.T) {
	for name, lag := range map[string]func(n int) time.Duration{
		"beside the video": func(int) time.Duration { return 0 },
		"a little late":    func(int) time.Duration { return 150 * ms },
		"late by 400 ms":   func(int) time.Duration { return 400 * ms },
		"in batches":       func(n int) time.Duration { return time.Duration(23-n%24) * 21 * ms },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t)
			l.play(20, lag)
			l.check(t, time.Second)
			if l.made != 0 || l.lost != 0 {
				t.Errorf("%d silent frames, %d frames lost; want none", l.made, l.lost)
			}
		})
	}
}

func TestAudioAwayIsSilent(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second} {
		l := newLine(t)
		l.play(50, func(n int) time.Duration {
			if at := frameTime(n); at >= 10*time.Second && at < 10*time.Second+away {
				return -1
			}
			return 20 * ms
		})
		l.check(t, unknown+Margin+100*ms)
		want := int(away * 48000 / 1024 / time.Second)
		if l.lost != 0 || l.made < want-1 || l.made > want+2 {
			t.Errorf("%v away: %d silent frames, %d lost; want %d, 0", away, l.made, l.lost, want)
		}
	}
}

// Audio that comes late for once loses what silence has covered. Audio that is always late
// does so once, and is waited for from then on.
func TestLateAudio(t *testing.T) {
	l := newLine(t)
	l.play(30, func(n int) time.Duration {
		if at := frameTime(n); at >= 10*time.Second && at < 12*time.Second {
			return 12*time.Second - at
		}
		return 0
	})
	l.check(t, unknown+Margin+100*ms)
	if lost := time.Duration(l.lost) * 21 * ms; lost < time.Second || lost > 2*time.Second {
		t.Errorf("a backlog of 2s lost %v", lost)
	}

	l = newLine(t)
	l.play(40, func(n int) time.Duration {
		if frameTime(n) >= 10*time.Second {
			return time.Second
		}
		return 0
	})
	l.check(t, 2*time.Second)
	made, lost := l.made, l.lost
	if made == 0 || lost == 0 || lost > 200 {
		t.Errorf("%d silent frames, %d lost", made, lost)
	}
}

// A hole of less than a frame is closed where sessions meet. Before a stream's first audio there
// is none: a push whose audio begins a little behind its video reaches viewers as it is.
func TestHoleWhereSessionsMeet(t *testing.T) {
	l := newLine(t)
	l.addVideo(0)
	l.t.Begin(0) // a splice
	l.addAudio(packetbuf.AAC, 20*ms)
	l.addAudio(packetbuf.AAC, 41*ms)
	if l.made != 0 {
		t.Errorf("%d silent frames before the first audio, want none", l.made)
	}
	l.t.Begin(70 * ms)
	l.addAudio(packetbuf.AAC, 84*ms)
	if l.made != 1 {
		t.Errorf("%d silent frames between two sessions, want 1", l.made)
	}
}

func TestPauseOfBothIsNoHole(t *testing.T) {
	for _, first := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		l := newLine(t)
		l.play(10, func(int) time.Duration { return 0 })
		at := 15 * time.Second
		if first == packetbuf.Audio {
			l.addAudio(packetbuf.AAC, at)
			l.addVideo(at)
		} else {
			l.addVideo(at)
			l.addAudio(packetbuf.AAC, at)
		}
		if l.made > 15 {
			t.Errorf("%v first: %d silent frames for a pause of both tracks", first, l.made)
		}
	}
}

// Discontinuous transmission of Opus: one packet in 400 ms.
func TestOpusDTX(t *testing.T) {
	l := &line{}
	l.t.Configure(opusConfig())
	l.t.Begin(0)
	for v := range 300 {
		now := time.Duration(v) * time.Second / 30
		if at := now.Truncate(400 * ms); v%12 == 0 {
			l.addAudio(packetbuf.Opus, at)
		}
		l.addVideo(now.Round(ms))
	}
	longest, rising := l.gap()
	if longest > 21*ms || !rising || l.lost != 0 {
		t.Errorf("longest gap %v, rising %v, %d lost; want 20ms, true, 0", longest, rising, l.lost)
	}
}

func TestFramesStampedAlike(t *testing.T) {
	l := newLine(t)
	for v := range 300 {
		now := time.Duration(v) * time.Second / 30
		if v%30 == 0 { // a second of audio, one millisecond apart
			for n := range 47 {
				l.addAudio(packetbuf.AAC, now+time.Duration(n)*ms)
			}
		}
		l.addVideo(now.Round(ms))
	}
	if l.made != 0 || l.lost != 0 {
		t.Errorf("%d silent frames, %d lost; want none", l.made, l.lost)
	}
}

func TestWithoutSilenceNothingIsMade(t *testing.T) {
	l := &line{}
	l.t.Configure(nil)
	l.t.Begin(0)
	l.addAudio(packetbuf.MP3, 0)
	for v := range 300 {
		l.addVideo(time.Duration(v) * time.Second / 30)
	}
	if l.made != 0 {
		t.Errorf("%d silent frames of nothing", l.made)
	}
}

// Whatever holes there are and however late frames come: no gap above 100 ms, times rise, and
// audio ends at a bounded distance behind video.
func TestAnyHoles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLine(t)
		period := rapid.IntRange(1, 60).Draw(rt, "batch")
		type change struct{ at, kind, by int }
		var changes []change
		for range rapid.IntRange(0, 12).Draw(rt, "changes") {
			changes = append(changes, change{rapid.IntRange(0, 1400).Draw(rt, "at"), rapid.IntRange(0, 2).Draw(rt, "kind"), rapid.IntRange(1, 400).Draw(rt, "by")})
		}
		l.play(30, func(n int) time.Duration {
			lag := time.Duration(period-1-n%period) * 21 * ms
			for _, c := range changes {
				if n < c.at || n >= c.at+c.by {
					continue
				}
				switch c.kind {
				case 0:
					return -1 // a hole
				case 1:
					lag += frameTime(c.at+c.by) - frameTime(n) // a backlog
				case 2:
					lag += time.Duration(c.by) * ms
				}
			}
			return lag
		})
		longest, rising := l.gap()
		if longest > 100*ms || !rising {
			rt.Fatalf("longest audio gap %v, rising %v", longest, rising)
		}
		if most := widest + Margin + 100*ms; l.behind > most {
			rt.Fatalf("audio ends %v behind video; want at most %v", l.behind, most)
		}
	})
}

func BenchmarkTrack(b *testing.B) {
	var t Track
	t.Configure(aacConfig(b))
	t.Begin(0)
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.DTS = frameTime(i)
		if !t.Late(p.DTS) {
			t.Audio(p)
		}
		t.Video(p.DTS)
	}
}

// Where sessions meet, less than a frame of audio is missing, whether the first one's audio ended
// at the splice or some frames before it.
func TestNoHoleWhereSessionsMeet(t *testing.T) {
	for _, behind := range []time.Duration{0, 10, 30, 70, 150, 700, 1400} {
		for _, late := range []time.Duration{0, 15, 40, 90} {
			behind, late := behind*time.Millisecond, late*time.Millisecond
			tr := &Track{}
			tr.Configure(aacConfig(t))
			const splice = 10 * time.Second
			frame := frameTime(1)
			last := splice - behind - frame
			tr.Audio(audioFrame(last))
			tr.Begin(splice)
			tr.Video(splice)
			end, made := last+frame, 0
			for _, p := range tr.Audio(audioFrame(splice + late)) {
				if hole := p.DTS - end; hole.Abs() > rounding {
					t.Fatalf("%v behind, %v late: silence %v behind the audio", behind, late, hole)
				}
				end, made = p.DTS+frame, made+1
			}
			if hole := splice + late - end; hole >= frame+rounding {
				t.Errorf("%v behind, %v late: a hole of %v after %d silent frames, want less than %v", behind, late, hole, made, frame)
			}
		}
	}
}

func audioFrame(dts time.Duration) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta, DTS: dts, Payload: []byte{0}}
}
