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
		t.Fatal("got no AAC configuration")
	}
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: config}
}

func opusConfig() *packetbuf.Packet {
	head := codec.OpusHead{Channels: 2, PreSkip: 312, Rate: codec.OpusRate}.Append(nil)
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Config, Payload: head}
}

// viewerLine is a muxed stream as a viewer receives it: the real packets passed to the track under test
// and the silence it returned, in the order of the ring.
type viewerLine struct {
	track  Track
	video  []time.Duration
	audio  []time.Duration
	silent int
	lost   int
	behind time.Duration // the greatest distance from the end of the audio to a video packet
}

func (l *viewerLine) addVideo(dts time.Duration) {
	l.appendSilence(l.track.Video(dts))
	l.video = append(l.video, dts)
	if end, begun := l.track.End(); begun {
		l.behind = max(l.behind, dts-end)
	}
}

func (l *viewerLine) addAudio(codec packetbuf.Codec, dts time.Duration) {
	if l.track.Late(dts) {
		l.lost++
		return
	}
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: codec, Kind: packetbuf.Delta, DTS: dts, Payload: []byte{0xfc, 0xff, 0xfe}}
	l.appendSilence(l.track.Audio(p))
	l.audio = append(l.audio, dts)
}

func (l *viewerLine) appendSilence(frames []*packetbuf.Packet) {
	l.silent += len(frames)
	for _, p := range frames {
		l.audio = append(l.audio, p.DTS)
	}
}

// gap returns the longest step between two audio packets, and whether all steps go forward.
func (l *viewerLine) gap() (longest time.Duration, rising bool) {
	rising = true
	for i, at := range l.audio[1:] {
		longest = max(longest, at-l.audio[i])
		rising = rising && at > l.audio[i]
	}
	return longest, rising
}

func (l *viewerLine) check(t interface{ Errorf(string, ...any) }, behind time.Duration) {
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
func (l *viewerLine) play(seconds int, lag func(n int) time.Duration) {
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

func newViewerLine(t testing.TB) *viewerLine {
	l := &viewerLine{}
	l.track.Configure(aacConfig(t))
	l.track.Begin(0)
	return l
}

func TestSteadyAudioIsLeftAlone(t *testing.T) {
	for name, lag := range map[string]func(n int) time.Duration{
		"with the video": func(int) time.Duration { return 0 },
		"a little late":  func(int) time.Duration { return 150 * ms },
		"late by 400 ms": func(int) time.Duration { return 400 * ms },
		"in batches":     func(n int) time.Duration { return time.Duration(23-n%24) * 21 * ms },
	} {
		t.Run(name, func(t *testing.T) {
			l := newViewerLine(t)
			l.play(20, lag)
			l.check(t, time.Second)
			if l.silent != 0 || l.lost != 0 {
				t.Errorf("got %d silent frames, %d frames lost, want none", l.silent, l.lost)
			}
		})
	}
}

func TestMissingAudioIsFilled(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second} {
		l := newViewerLine(t)
		l.play(50, func(n int) time.Duration {
			if at := frameTime(n); at >= 10*time.Second && at < 10*time.Second+away {
				return -1
			}
			return 20 * ms
		})
		l.check(t, initialLag+Margin+100*ms)
		want := int(away * 48000 / 1024 / time.Second)
		if l.lost != 0 || l.silent < want-1 || l.silent > want+2 {
			t.Errorf("%v without audio: got %d silent frames, %d lost, want %d, 0", away, l.silent, l.lost, want)
		}
	}
}

// Audio that is late once loses the part that silence has covered. Audio that is always late
// loses a part once, and is waited for from then on.
func TestLateAudio(t *testing.T) {
	l := newViewerLine(t)
	l.play(30, func(n int) time.Duration {
		if at := frameTime(n); at >= 10*time.Second && at < 12*time.Second {
			return 12*time.Second - at
		}
		return 0
	})
	l.check(t, initialLag+Margin+100*ms)
	if lost := time.Duration(l.lost) * 21 * ms; lost < time.Second || lost > 2*time.Second {
		t.Errorf("a backlog of 2s: got %v lost, want 1s to 2s", lost)
	}

	l = newViewerLine(t)
	l.play(40, func(n int) time.Duration {
		if frameTime(n) >= 10*time.Second {
			return time.Second
		}
		return 0
	})
	l.check(t, 2*time.Second)
	made, lost := l.silent, l.lost
	if made == 0 || lost == 0 || lost > 200 {
		t.Errorf("audio 1s late: got %d silent frames, %d lost, want some and at most 200", made, lost)
	}
}

// A gap of less than a frame is filled where sessions meet. Before a stream's first audio there is
// no gap: viewers get a push whose audio begins a little after its video as it is.
func TestGapWhereSessionsMeet(t *testing.T) {
	l := newViewerLine(t)
	l.addVideo(0)
	l.track.Begin(0) // a splice
	l.addAudio(packetbuf.AAC, 20*ms)
	l.addAudio(packetbuf.AAC, 41*ms)
	if l.silent != 0 {
		t.Errorf("before the first audio: got %d silent frames, want none", l.silent)
	}
	l.track.Begin(70 * ms)
	l.addAudio(packetbuf.AAC, 84*ms)
	if l.silent != 1 {
		t.Errorf("between two sessions: got %d silent frames, want 1", l.silent)
	}
}

func TestPauseOfBothTracksIsNoGap(t *testing.T) {
	for _, first := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		l := newViewerLine(t)
		l.play(10, func(int) time.Duration { return 0 })
		at := 15 * time.Second
		if first == packetbuf.Audio {
			l.addAudio(packetbuf.AAC, at)
			l.addVideo(at)
		} else {
			l.addVideo(at)
			l.addAudio(packetbuf.AAC, at)
		}
		if l.silent > 15 {
			t.Errorf("%v first: got %d silent frames for a pause of both tracks, want at most 15", first, l.silent)
		}
	}
}

// Discontinuous transmission of Opus: one packet in 400 ms.
func TestOpusDTX(t *testing.T) {
	l := &viewerLine{}
	l.track.Configure(opusConfig())
	l.track.Begin(0)
	for v := range 300 {
		now := time.Duration(v) * time.Second / 30
		if at := now.Truncate(400 * ms); v%12 == 0 {
			l.addAudio(packetbuf.Opus, at)
		}
		l.addVideo(now.Round(ms))
	}
	longest, rising := l.gap()
	if longest > 21*ms || !rising || l.lost != 0 {
		t.Errorf("got longest gap %v, rising %v, %d lost, want 20ms, true, 0", longest, rising, l.lost)
	}
}

func TestFramesWithEqualTimestamps(t *testing.T) {
	l := newViewerLine(t)
	for v := range 300 {
		now := time.Duration(v) * time.Second / 30
		if v%30 == 0 { // a second of audio, one millisecond apart
			for n := range 47 {
				l.addAudio(packetbuf.AAC, now+time.Duration(n)*ms)
			}
		}
		l.addVideo(now.Round(ms))
	}
	if l.silent != 0 || l.lost != 0 {
		t.Errorf("got %d silent frames, %d lost, want none", l.silent, l.lost)
	}
}

func TestNoSilenceWithoutConfiguration(t *testing.T) {
	l := &viewerLine{}
	l.track.Configure(nil)
	l.track.Begin(0)
	l.addAudio(packetbuf.MP3, 0)
	for v := range 300 {
		l.addVideo(time.Duration(v) * time.Second / 30)
	}
	if l.silent != 0 {
		t.Errorf("got %d silent frames without a configuration, want none", l.silent)
	}
}

// Whatever gaps there are and however late frames arrive: no gap exceeds 100 ms, times rise, and
// the audio ends at a bounded distance behind video.
func TestAnyGaps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newViewerLine(t)
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
					return -1 // a gap
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
			rt.Fatalf("got longest audio gap %v, rising %v, want at most 100ms, true", longest, rising)
		}
		if most := maxLag + Margin + 100*ms; l.behind > most {
			rt.Fatalf("got audio %v behind video, want at most %v", l.behind, most)
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

// Where sessions meet, less than a frame of audio is missing, whether the first session's audio
// ended at the splice or some frames before it.
func TestNoGapWhereSessionsMeet(t *testing.T) {
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
				if gap := p.DTS - end; gap.Abs() > rounding {
					t.Fatalf("audio ending %v before, starting %v after: got silence %v after the audio, want at most %v", behind, late, gap, rounding)
				}
				end, made = p.DTS+frame, made+1
			}
			if gap := splice + late - end; gap >= frame+rounding {
				t.Errorf("audio ending %v before, starting %v after: got a gap of %v after %d silent frames, want less than %v", behind, late, gap, made, frame)
			}
		}
	}
}

func audioFrame(dts time.Duration) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta, DTS: dts, Payload: []byte{0}}
}
