package cmaf

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// failing is implemented by *testing.T and *rapid.T.
type failing interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// continuity fails if a track has a hole, or if an init section does not begin at a keyframe. It
// returns the number of init sections. Tracks must reach the end of the stream.
func continuity(t failing, chunks []*Chunk, end time.Duration) (inits int, r *reader) {
	t.Helper()
	r = &reader{slack: true} // a stand-in may overlap the frame after it
	for _, c := range chunks {
		if err := r.add(c); err != nil {
			t.Fatalf("%v", err)
		}
	}
	for i, c := range chunks {
		if !c.Init {
			continue
		}
		if inits++; i+1 < len(chunks) && c.Info.Video != packetbuf.NoCodec && !chunks[i+1].Independent {
			t.Errorf("init section at %v is not at a keyframe", c.Start)
		}
	}
	for tr, frames := range r.frames {
		if len(frames) == 0 {
			t.Fatalf("track %d: no frames", tr)
		}
		for i, f := range frames[1:] {
			scale := float64(f.after.Info.tracks[tr].scale)
			last := frames[i]
			lastScale := float64(last.after.Info.tracks[tr].scale)
			hole := float64(f.dts)/scale - float64(last.dts+last.dur)/lastScale
			if hole > 0.05 {
				t.Fatalf("track %d: got a hole of %.3fs at %.3fs", tr, hole, float64(f.dts)/scale)
			}
		}
		last := frames[len(frames)-1]
		if at := time.Duration(last.dts) * time.Second / time.Duration(last.after.Info.tracks[tr].scale); end-at > time.Second {
			t.Errorf("track %d: got end at %v, want %v", tr, at, end)
		}
	}
	return inits, r
}

func without(packets []*packetbuf.Packet, drop func(*packetbuf.Packet) bool) []*packetbuf.Packet {
	return slices.DeleteFunc(packets, drop)
}

// within returns a function that matches packets of one track in a range of time.
func within(tr packetbuf.Track, from, to time.Duration) func(*packetbuf.Packet) bool {
	return func(p *packetbuf.Packet) bool {
		return p.Track == tr && p.Media() && p.DTS >= from && p.DTS < to
	}
}

func TestTracksThatPause(t *testing.T) {
	const end = 20 * time.Second
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		for _, away := range []time.Duration{time.Second, 3 * time.Second, 8 * time.Second} {
			t.Run(tr.String()+" for "+away.String(), func(t *testing.T) {
				in := without(media(gen.Options{}, end), within(tr, 5*time.Second, 5*time.Second+away))
				if inits, _ := continuity(t, cutAll(t, in), end); inits != 1 {
					t.Errorf("got %d init sections", inits)
				}
			})
		}
	}
}

// Slides in one long GOP, the first of which lasts long, are all kept.
func TestSlides(t *testing.T) {
	const end = 30 * time.Second
	in := media(gen.Options{GOP: 100000, Interval: func(int) time.Duration { return 5 * time.Second }}, end)
	r := &reader{slack: true}
	for _, c := range cutAll(t, in) {
		if err := r.add(c); err != nil {
			t.Fatal(err)
		}
	}
	deltas := 0
	for _, f := range r.frames[video] {
		if !f.key {
			deltas++
		}
	}
	if deltas != 5 {
		t.Errorf("got %d slides after the first, want 5", deltas)
	}
}

// Audio for which no silence can be made is removed at a keyframe, and returns at one.
func TestPauseWithoutSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		silentTrack bool
		want        []string
	}{
		"alone":             {false, []string{"avc1.4d001f,mp4a.6B", "avc1.4d001f", "avc1.4d001f,mp4a.6B"}},
		"by a silent track": {true, []string{"avc1.4d001f,mp4a.6B", "avc1.4d001f,mp4a.40.2", "avc1.4d001f,mp4a.6B"}},
	} {
		t.Run(name, func(t *testing.T) {
			const end = 20 * time.Second
			in := without(media(gen.Options{AudioCodec: packetbuf.MP3, SampleRate: 44100}, end), within(packetbuf.Audio, 5*time.Second, 11*time.Second))
			var told []packetbuf.Codec
			var chunks []*Chunk
			c := &cutter{
				emit: func(c *Chunk) { chunks = append(chunks, c) }, seq: 7, expects: [2]bool{true, true}, silentTrack: tt.silentTrack,
				warn: func(c packetbuf.Codec) { told = append(told, c) },
			}
			for i, p := range in {
				p.Seq, p.Arrived = uint64(i)+1, epoch.Add(p.DTS)
				if err := c.write(p); err != nil {
					t.Fatal(err)
				}
			}
			c.flush()
			readAll(t, chunks)
			var codecs []string
			for i, c := range chunks {
				if c.Init {
					codecs = append(codecs, c.Info.Codecs)
					if !chunks[i+1].Independent || i > 0 && !chunks[i+1].Discontinuity {
						t.Errorf("%s at %v: got independent %v, discontinuity %v", c.Info.Codecs, c.Start, chunks[i+1].Independent, chunks[i+1].Discontinuity)
					}
				}
			}
			if !slices.Equal(codecs, tt.want) {
				t.Errorf("got init sections %v, want %v", codecs, tt.want)
			}
			if !slices.Equal(told, []packetbuf.Codec{packetbuf.MP3}) {
				t.Errorf("got warnings of %v", told)
			}
		})
	}
}

// A configuration that changes within a GOP applies from the next keyframe.
func TestConfigurationWithinGOP(t *testing.T) {
	const change, end = 3 * time.Second, 20 * time.Second // keyframes at 0, 8 and 16 s
	o := gen.Options{GOP: 240}
	other := func(o gen.Options, tr packetbuf.Track) []*packetbuf.Packet {
		return without(media(o, end), func(p *packetbuf.Packet) bool { return p.Track != tr || p.Media() && p.DTS < change })
	}
	for name, with := range map[string]gen.Options{
		"rate": {GOP: 240, SampleRate: 44100}, "channels": {GOP: 240, Channels: 1}, "codec": {GOP: 240, AudioCodec: packetbuf.Opus},
	} {
		t.Run("audio "+name, func(t *testing.T) {
			in := without(media(o, end), within(packetbuf.Audio, change, end))
			in = append(in, other(with, packetbuf.Audio)...)
			for _, p := range in {
				if p.Track == packetbuf.Audio && p.Kind == packetbuf.Config && p.Seq == 0 && p != in[2] {
					p.DTS = change
				}
			}
			slices.SortStableFunc(in, func(a, b *packetbuf.Packet) int { return int(a.DTS - b.DTS) })
			chunks := cutAll(t, in)
			if inits, _ := continuity(t, chunks, end); inits != 2 {
				t.Errorf("got %d init sections", inits)
			}
			for i, c := range chunks {
				if c.Init && i > 0 && c.Start != 8*time.Second {
					t.Errorf("new configuration applies at %v", c.Start)
				}
			}
			if n := len(readAll(t, chunks).frames[0]); n != int(end/time.Second)*30 {
				t.Errorf("got %d video frames", n)
			}
		})
	}
}

func TestVideoConfigurationAheadOfItsKeyframe(t *testing.T) {
	const end = 12 * time.Second
	in := media(gen.Options{}, end)
	next := media(gen.Options{Width: 640, Height: 360}, 0)
	var out []*packetbuf.Packet
	for _, p := range in {
		if p.Track == packetbuf.Video && p.DTS == 5*time.Second {
			for _, c := range next {
				if c.Track == packetbuf.Video {
					c.DTS = p.DTS
					out = append(out, c)
				}
			}
		}
		out = append(out, p)
	}
	chunks := cutAll(t, out)
	if inits, _ := continuity(t, chunks, end); inits != 2 {
		t.Errorf("got %d init sections", inits)
	}
	if n := len(readAll(t, chunks).frames[0]); n != 360 {
		t.Errorf("got %d video frames, want 360", n)
	}
}

// Audio that was not announced uses the silent track.
func TestSilentTrack(t *testing.T) {
	const end = 14 * time.Second
	for name, o := range map[string]gen.Options{
		"the same": {}, "another rate": {SampleRate: 44100}, "another codec": {AudioCodec: packetbuf.Opus},
	} {
		t.Run(name, func(t *testing.T) {
			in := media(o, end)
			in = without(in, within(packetbuf.Audio, 0, 6*time.Second))
			for _, p := range in {
				if p.Track == packetbuf.Audio && !p.Media() {
					p.DTS = 6 * time.Second
				}
			}
			slices.SortStableFunc(in, func(a, b *packetbuf.Packet) int { return int(a.DTS - b.DTS) })
			var chunks []*Chunk
			c := &cutter{emit: func(c *Chunk) { chunks = append(chunks, c) }, seq: 7, expects: [2]bool{true, false}, silentTrack: true}
			for i, p := range in {
				p.Seq, p.Arrived = uint64(i)+1, epoch.Add(p.DTS)
				if err := c.write(p); err != nil {
					t.Fatal(err)
				}
			}
			c.flush()
			inits, _ := continuity(t, chunks, end)
			if want := map[bool]int{true: 1, false: 2}[name == "the same"]; inits != want {
				t.Errorf("got %d init sections, want %d", inits, want)
			}
			for _, c := range chunks {
				if c.Info.Audio == packetbuf.NoCodec || c.Info.Video == packetbuf.NoCodec {
					t.Fatalf("at %v: got codecs %s, want two tracks", c.Start, c.Info.Codecs)
				}
			}
		})
	}
}

// No silent track is added for audio in an unsupported codec.
func TestNoSilentTrackForUnsupportedAudio(t *testing.T) {
	in := without(media(gen.Options{}, 3*time.Second), within(packetbuf.Audio, 0, 200*time.Millisecond))
	var chunks []*Chunk
	c := &cutter{emit: func(c *Chunk) { chunks = append(chunks, c) }, seq: 7, expects: [2]bool{true, false}, silentTrack: true}
	for i, p := range in {
		if p.Track == packetbuf.Audio && !p.Media() {
			continue
		}
		if p.Track == packetbuf.Audio {
			p.Codec = packetbuf.FLAC
		}
		p.Seq, p.Arrived = uint64(i)+1, epoch.Add(p.DTS)
		if err := c.write(p); err != nil {
			t.Fatal(err)
		}
	}
	c.flush()
	if r := readAll(t, chunks); len(r.frames[audio]) != 0 || r.init.Info.Codecs != "avc1.4d001f" {
		t.Errorf("got %d audio frames, codecs %s", len(r.frames[audio]), r.init.Info.Codecs)
	}
}

// The first chunk waits for video that may still arrive, but not longer than startWaitVideo.
func TestStartAwaitsVideo(t *testing.T) {
	for name, tt := range map[string]struct {
		video   time.Duration
		awaited bool
		codecs  string
		begins  time.Duration
	}{
		"late":         {6 * time.Second, true, "avc1.4d001f,mp4a.40.2", 0},
		"never":        {time.Hour, true, "mp4a.40.2", 0},
		"not expected": {time.Hour, false, "mp4a.40.2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := without(media(gen.Options{}, 14*time.Second), func(p *packetbuf.Packet) bool {
				return p.Track == packetbuf.Video && (p.DTS < tt.video && p.Media() || tt.video == time.Hour)
			})
			for _, p := range in {
				if p.Track == packetbuf.Video && !p.Media() {
					p.DTS = tt.video
				}
			}
			slices.SortStableFunc(in, func(a, b *packetbuf.Packet) int { return int(a.DTS - b.DTS) })
			var chunks []*Chunk
			var began time.Duration
			c := &cutter{
				emit: func(c *Chunk) { chunks = append(chunks, c) }, seq: 7, expects: [2]bool{false, true},
				awaits: func(tr packetbuf.Track) bool { return tt.awaited && tr == packetbuf.Video },
			}
			for i, p := range in {
				p.Seq, p.Arrived = uint64(i)+1, epoch.Add(p.DTS)
				if err := c.write(p); err != nil {
					t.Fatal(err)
				}
				if len(chunks) == 0 {
					began = p.DTS
				}
			}
			c.flush()
			readAll(t, chunks)
			if got := chunks[0].Info.Codecs; got != tt.codecs {
				t.Errorf("got first codecs %s", got)
			}
			want := map[string]time.Duration{"late": 6 * time.Second, "never": startWaitVideo, "not expected": 0}[name]
			if began < want-100*time.Millisecond || began > want+100*time.Millisecond {
				t.Errorf("got start at %v, want %v", began, want)
			}
		})
	}
}

// Whatever audio is missing, late or reconfigured, both tracks have no holes, init sections
// begin at a keyframe, and received audio stays within 60 ms of its time.
func TestAnyHoles(t *testing.T) {
	aac := media(gen.Options{NoVideo: true, SampleRate: 44100}, 0)
	rapid.Check(t, func(rt *rapid.T) {
		const end = 12 * time.Second
		in := media(gen.Options{VideoBitrate: 50_000, GOP: rapid.SampledFrom([]int{15, 60, 200}).Draw(rt, "gop")}, end)
		arrival := map[*packetbuf.Packet]time.Duration{}
		for range rapid.IntRange(0, 6).Draw(rt, "changes") {
			from := time.Duration(rapid.IntRange(0, 11000).Draw(rt, "from")) * time.Millisecond
			to := from + time.Duration(rapid.IntRange(1, 5000).Draw(rt, "for"))*time.Millisecond
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0: // away
				in = without(in, within(packetbuf.Audio, from, to))
			case 1: // late
				for _, p := range in {
					if within(packetbuf.Audio, from, to)(p) {
						arrival[p] = max(arrival[p], to)
					}
				}
			case 2: // another rate
				for i, p := range in {
					if p.DTS >= from && p.Track == packetbuf.Audio && p.Media() {
						config := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, DTS: p.DTS, Payload: aac[len(aac)-1].Payload}
						in = slices.Insert(in, i, config)
						break
					}
				}
			}
		}
		var newest [packetbuf.NumTracks]time.Duration
		for _, p := range in { // no packet overtakes another of its track
			newest[p.Track] = max(newest[p.Track], p.DTS, arrival[p])
			arrival[p] = newest[p.Track]
		}
		slices.SortStableFunc(in, func(a, b *packetbuf.Packet) int { return cmp.Compare(arrival[a], arrival[b]) })
		chunks := cutAll(t, in)
		_, r := continuity(rt, chunks, end)
		times := map[string]time.Duration{}
		for _, p := range in {
			if p.Media() && p.Track == packetbuf.Audio {
				times[string(p.Payload)] = p.DTS
			}
		}
		for _, f := range r.frames[audio] {
			want, real := times[f.payload]
			at := f.after.Info.tracks[audio].time(f.dts)
			if real && (at-want).Abs() > 60*time.Millisecond {
				rt.Fatalf("audio of %v is at %v", want, at)
			}
		}
	})
}

func TestSameAAC(t *testing.T) {
	short, _ := codec.AACConfig(48000, 2)
	describeAAC := func(config []byte) *description {
		d, err := describe(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: config}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	long := append(slices.Clone(short), 0x56, 0xe5, 0x00) // the same, with explicit absence of SBR
	sbr := append(slices.Clone(short), 0x56, 0xe5, 0x98)
	if !describeAAC(short).same(describeAAC(long)) {
		t.Error("two encodings of one configuration differ")
	}
	if describeAAC(short).same(describeAAC(sbr)) {
		t.Error("configurations with and without SBR are the same")
	}
}
