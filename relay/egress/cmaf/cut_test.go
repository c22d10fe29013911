package cmaf

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// cutAll cuts packets as a ring returns them.
func cutAll(t testing.TB, packets []*packetbuf.Packet) []*Chunk {
	t.Helper()
	var out []*Chunk
	c := &cutter{emit: func(c *Chunk) { out = append(out, c) }, seq: 7}
	for _, p := range packets {
		c.expects[min(int(p.Track), 1)] = c.expects[min(int(p.Track), 1)] || p.Track != packetbuf.Data
	}
	for i, p := range packets {
		p.Seq, p.Arrived = uint64(i)+1, epoch.Add(p.DTS)
		if err := c.write(p); err != nil {
			t.Fatal(err)
		}
	}
	c.flush()
	return out
}

// frame is a sample read from a chunk.
type frame struct {
	payload string
	dts     int64
	dur     int64
	cto     int64
	key     bool
	after   *Chunk // init section in force
}

// reader parses chunks and reports errors in them.
type reader struct {
	init   *Chunk
	scales map[int]int64
	seq    uint64
	start  time.Duration
	end    time.Duration
	any    bool
	frames [2][]frame
	slack  bool // durations of video frames need not be exact
}

func (r *reader) add(c *Chunk) error {
	if r.seq != 0 && c.Seq != r.seq+1 && (r.any || c.Init) { // a join is behind an init section of before
		return fmt.Errorf("sequence %d after %d", c.Seq, r.seq)
	}
	r.seq = c.Seq
	if c.Init {
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(c.Data)); err != nil {
			return fmt.Errorf("init section: %w", err)
		}
		r.init, r.scales = c, map[int]int64{}
		for _, tr := range init.Tracks {
			r.scales[tr.ID] = int64(tr.TimeScale)
		}
		return nil
	}
	if r.init == nil || c.Info != r.init.Info {
		return fmt.Errorf("chunk %d without its init section", c.Seq)
	}
	if r.any && (c.Start < r.start || !c.Discontinuity && c.Start != r.end) {
		return fmt.Errorf("chunk %d from %v, the one before was %v to %v", c.Seq, c.Start, r.start, r.end)
	}
	r.any, r.start, r.end = true, c.Start, c.Start+c.Duration
	var parts fmp4.Parts
	if err := parts.Unmarshal(c.Data); err != nil {
		return fmt.Errorf("chunk %d: %w", c.Seq, err)
	}
	if len(parts) != 1 {
		return fmt.Errorf("chunk %d has %d fragments", c.Seq, len(parts))
	}
	for _, tr := range parts[0].Tracks {
		at := int64(tr.BaseTime)
		for _, s := range tr.Samples {
			f := frame{string(s.Payload), at, int64(s.Duration), int64(s.PTSOffset), !s.IsNonSyncSample, r.init}
			list := &r.frames[tr.ID-1]
			if n := len(*list); n > 0 && f.after == (*list)[n-1].after {
				last := (*list)[n-1]
				if f.dts <= last.dts {
					return fmt.Errorf("track %d: %d after %d", tr.ID, f.dts, last.dts)
				}
				if !r.slack && !c.Discontinuity && f.dts != last.dts+last.dur {
					return fmt.Errorf("track %d: frame at %d after one that ends at %d", tr.ID, f.dts, last.dts+last.dur)
				}
			}
			*list = append(*list, f)
			at += f.dur
		}
	}
	if c.Independent && r.init.Info.Video != packetbuf.NoCodec {
		if len(parts[0].Tracks) == 0 || parts[0].Tracks[0].ID != 1 || parts[0].Tracks[0].Samples[0].IsNonSyncSample {
			return fmt.Errorf("independent chunk %d without a keyframe in front", c.Seq)
		}
	}
	return nil
}

func readAll(t testing.TB, chunks []*Chunk) *reader {
	t.Helper()
	r := &reader{}
	for _, c := range chunks {
		if err := r.add(c); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// expect fails unless the media of packets was read, each frame complete and once.
func (r *reader) expect(t testing.TB, packets []*packetbuf.Packet) {
	t.Helper()
	var at [2]int
	for _, p := range packets {
		if !p.Media() {
			continue
		}
		i := at[p.Track]
		at[p.Track]++
		if i >= len(r.frames[p.Track]) {
			t.Fatalf("%s: got only %d frames", p.Track, i)
		}
		f := r.frames[p.Track][i]
		scale := r.scales[int(trackID(p.Track))]
		off := f.dts - int64(p.DTS/time.Millisecond)*scale/1000
		if f.payload != string(p.Payload) || abs(off) > scale/20 || p.Track == packetbuf.Video && (off != 0 || f.key != (p.Kind == packetbuf.Key) || f.cto != int64(p.CTO/time.Millisecond)*90) {
			t.Fatalf("%s frame %d: got DTS %d, offset %d, key %v; want %v, %v, %s", p.Track, i, f.dts, f.cto, f.key, p.DTS, p.CTO, p.Kind)
		}
	}
	for tr, n := range at {
		if n != len(r.frames[tr]) {
			t.Errorf("track %d: got %d frames, want %d", tr, len(r.frames[tr]), n)
		}
	}
}

func media(o gen.Options, d time.Duration) []*packetbuf.Packet { return gen.New(o).Until(d) }

func TestCut(t *testing.T) {
	for name, o := range map[string]gen.Options{
		"plain":        {},
		"reordered":    {BFrames: 2},
		"ntsc":         {FPS: 29.97, SampleRate: 44100},
		"sound":        {NoVideo: true},
		"video alone":  {NoAudio: true},
		"mp3":          {AudioCodec: packetbuf.MP3, SampleRate: 44100},
		"opus":         {AudioCodec: packetbuf.Opus},
		"two a second": {FPS: 2},
		"intra":        {GOP: 1},
		"uneven":       {Interval: func(n int) time.Duration { return time.Duration(10+n*37%90) * time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			in := media(o, 10*time.Second)
			chunks := cutAll(t, in)
			readAll(t, chunks).expect(t, in)
			inits := 0
			for i, c := range chunks {
				if c.Init {
					inits++
				}
				if c.Discontinuity || !c.Init && i < len(chunks)-1 && c.Duration > max(maxDuration, 500*time.Millisecond) || !c.Wall.Equal(epoch.Add(c.Start)) {
					t.Errorf("chunk %d: got duration %v, wall %v, discontinuity %v", i, c.Duration, c.Wall, c.Discontinuity)
				}
				if !c.Init && o.FPS == 0 && i < len(chunks)-1 && name != "uneven" && c.Duration > maxDuration+rounding {
					t.Errorf("chunk %d: got duration %v", i, c.Duration)
				}
			}
			if inits != 1 {
				t.Errorf("%d init sections", inits)
			}
		})
	}
}

// ffmpeg decodes a real clip without a message, and its frames equal those of the file.
func TestDecodes(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	in := testmedia.Clip()
	chunks := cutAll(t, in)
	readAll(t, chunks).expect(t, in)
	var file []byte
	for _, c := range chunks {
		file = append(file, c.Data...)
	}
	dir := t.TempDir()
	mp4, flv := filepath.Join(dir, "a.mp4"), filepath.Join(dir, "a.flv")
	for path, b := range map[string][]byte{mp4: file, flv: testmedia.ClipFLV()} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, stream := range []string{"v", "a"} {
		if a, b := hashes(t, mp4, stream), hashes(t, flv, stream); !slices.Equal(a, b) {
			t.Errorf("%s: got %d decoded frames, want the %d of the file", stream, len(a), len(b))
		}
	}
}

// hashes returns the hashes of the decoded frames of a file.
func hashes(t *testing.T, path, stream string) []string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-xerror", "-i", path, "-map", "0:"+stream, "-fps_mode", "passthrough", "-f", "framehash", "-hash", "crc32", "-")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
	var sums []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			sums = append(sums, strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:]))
		}
	}
	return sums
}

// ffprobe reports for each codec what the configuration in the init section says.
func TestProbes(t *testing.T) {
	if _, err := exec.LookPath("ffprobe"); err != nil {
		t.Skip("needs ffprobe")
	}
	for name, o := range map[string]gen.Options{
		"aac": {NoVideo: true}, "opus": {NoVideo: true, AudioCodec: packetbuf.Opus}, "mp3": {NoVideo: true, AudioCodec: packetbuf.MP3, SampleRate: 44100}, "h264": {NoAudio: true},
	} {
		var file []byte
		for _, c := range cutAll(t, media(o, time.Second)) {
			file = append(file, c.Data...)
		}
		path := filepath.Join(t.TempDir(), "a.mp4")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "fatal", "-show_entries", "stream=codec_name,sample_rate,channels,width,height", "-of", "default=nw=1", path).CombinedOutput()
		got := strings.Join(strings.Fields(string(out)), " ")
		want := map[string]string{
			"aac": "codec_name=aac sample_rate=48000 channels=2", "opus": "codec_name=opus sample_rate=48000 channels=2",
			"mp3": "codec_name=mp3 sample_rate=44100 channels=2", "h264": "codec_name=h264 width=1280 height=720",
		}[name]
		if err != nil || got != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, got, want)
		}
	}
}

// later shifts packets in time and marks the first as a splice.
func later(packets []*packetbuf.Packet, by time.Duration) []*packetbuf.Packet {
	for _, p := range packets {
		p.DTS += by
	}
	for _, p := range packets {
		if p.Media() {
			p.Flags |= packetbuf.Splice
			break
		}
	}
	return packets
}

// filler returns the packets of a held stream: the keyframe once a second, and silence.
func filler(key *packetbuf.Packet, from, to time.Duration) []*packetbuf.Packet {
	var out []*packetbuf.Packet
	picture := from + time.Second
	for n := 0; ; n++ {
		at := from + time.Duration(n)*1024*time.Second/48000
		if at >= to {
			return out
		}
		if picture <= at {
			out = append(out, &packetbuf.Packet{Track: packetbuf.Video, Codec: key.Codec, Kind: packetbuf.Key, Flags: packetbuf.Filler, DTS: picture, Payload: key.Payload})
			picture += time.Second
		}
		out = append(out, &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta, Flags: packetbuf.Filler, DTS: at.Truncate(time.Millisecond), Payload: []byte{0x21, 0, 1}})
	}
}

func firstKey(packets []*packetbuf.Packet) *packetbuf.Packet {
	for _, p := range packets {
		if p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
			return p
		}
	}
	return nil
}

func TestBreaks(t *testing.T) {
	first := func() []*packetbuf.Packet { return media(gen.Options{}, 3*time.Second) }
	for _, tt := range []struct {
		name          string
		packets       []*packetbuf.Packet
		inits, breaks int
		uneven        bool
	}{
		{"splice", slices.Concat(first(), later(media(gen.Options{Source: 1}, 3*time.Second), 3*time.Second)), 1, 0, false},
		{"splice after a moment", slices.Concat(first(), later(media(gen.Options{Source: 1}, 3*time.Second), 3700*time.Millisecond)), 1, 0, false},
		{"filler", slices.Concat(first(), filler(firstKey(first()), 3*time.Second, 8*time.Second), later(media(gen.Options{Source: 1}, 3*time.Second), 8*time.Second+300*time.Millisecond)), 1, 0, true},
		{"no filler", slices.Concat(first(), later(media(gen.Options{Source: 1}, 3*time.Second), 9*time.Second)), 1, 1, false},
		{"another size", slices.Concat(first(), later(media(gen.Options{Source: 1, Width: 640, Height: 360}, 3*time.Second), 3*time.Second)), 2, 1, false},
		{"another rate of sound", slices.Concat(first(), later(media(gen.Options{Source: 1, SampleRate: 44100}, 3*time.Second), 3*time.Second)), 2, 1, false},
		{"other sound", slices.Concat(first(), later(media(gen.Options{Source: 1, AudioCodec: packetbuf.Opus}, 3*time.Second), 3*time.Second)), 2, 1, false},
		{"no audio any more", slices.Concat(first(), later(media(gen.Options{Source: 1, NoAudio: true, GOP: 30}, 6*time.Second), 3*time.Second)), 1, 0, false},
		{"no video any more", slices.Concat(first(), later(media(gen.Options{Source: 1, NoVideo: true}, 6*time.Second), 3*time.Second)), 1, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chunks := cutAll(t, tt.packets)
			r := &reader{slack: tt.uneven}
			inits, breaks := 0, 0
			for _, c := range chunks {
				if err := r.add(c); err != nil {
					t.Fatal(err)
				}
				if c.Init {
					inits++
				}
				if c.Discontinuity {
					breaks++
				}
			}
			if inits != tt.inits || breaks != tt.breaks {
				t.Errorf("got %d init sections and %d discontinuities, want %d and %d", inits, breaks, tt.inits, tt.breaks)
			}
			var seen [2]int
			for _, p := range tt.packets {
				if p.Media() {
					n := seen[p.Track]
					for n < len(r.frames[p.Track]) && r.frames[p.Track][n].payload != string(p.Payload) {
						n++ // synthesized
					}
					if n >= len(r.frames[p.Track]) {
						t.Fatalf("%s frame %d at %v was lost", p.Track, n, p.DTS)
					}
					seen[p.Track] = n + 1
				}
			}
		})
	}
}

// Chunks of a held stream are emitted at once, not when the next frame arrives.
func TestFillerIsPrompt(t *testing.T) {
	in := media(gen.Options{}, 2*time.Second)
	in = append(in, filler(firstKey(in), 2*time.Second, 6*time.Second)...)
	var last *Chunk
	c := &cutter{emit: func(ch *Chunk) { last = ch }, expects: [2]bool{true, true}}
	for _, p := range in {
		p.Arrived = epoch.Add(p.DTS)
		if err := c.write(p); err != nil {
			t.Fatal(err)
		}
		if p.Flags&packetbuf.Filler != 0 && p.DTS > 3*time.Second && p.DTS-last.Start > 2*maxDuration+25*time.Millisecond {
			t.Fatalf("at %v the newest chunk starts at %v", p.DTS, last.Start)
		}
	}
}

func TestUnsupportedCodecs(t *testing.T) {
	c := &cutter{emit: func(*Chunk) {}}
	if err := c.write(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.VP8, Kind: packetbuf.Key}); err == nil || !strings.Contains(err.Error(), "VP8") {
		t.Errorf("VP8: got error %v, want one that names VP8", err)
	}
	in := media(gen.Options{}, time.Second)
	for _, p := range in {
		if p.Track == packetbuf.Audio {
			p.Codec = packetbuf.FLAC
		}
	}
	r := readAll(t, cutAll(t, in))
	if len(r.frames[1]) != 0 || len(r.frames[0]) != 30 || r.init.Info.Codecs != "avc1.4d001f" {
		t.Errorf("got %d video frames, %d audio frames, codecs %s", len(r.frames[0]), len(r.frames[1]), r.init.Info.Codecs)
	}
}
