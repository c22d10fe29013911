//go:build unix

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ffmpeg runs one that says what is wrong, and nothing else.
func ffmpeg(t testing.TB, args ...string) *program {
	t.Helper()
	return launch(t, "ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "warning"}, args...)...)
}

// source is what ffmpeg makes and pushes.
type source struct {
	picture string // its size; empty: none
	tone    bool
	mp3     bool
	length  time.Duration // 0: endless
	output  []string      // instead of -f flv
}

// arguments have it made in real time and coded.
func (s source) arguments() []string {
	length := ""
	if s.length > 0 {
		length = ":duration=" + strconv.FormatFloat(s.length.Seconds(), 'f', -1, 64)
	}
	var in, out []string
	if s.picture != "" {
		in = append(in, "-re", "-f", "lavfi", "-i", "testsrc2=rate=25:size="+s.picture+length)
		out = append(out, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p")
	}
	if s.tone {
		in = append(in, "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"+length)
		coder := []string{"-c:a", "aac"}
		if s.mp3 {
			coder = []string{"-c:a", "libmp3lame", "-ar", "44100"}
		}
		out = append(append(out, "-ac", "2", "-b:a", "96k"), coder...)
	}
	if s.output == nil {
		s.output = []string{"-f", "flv"}
	}
	return append(append(in, out...), s.output...)
}

// pushing has ffmpeg push a source.
func pushing(t testing.TB, url string, s source) *program {
	t.Helper()
	return ffmpeg(t, append(s.arguments(), url)...)
}

// live waits for the stream to be, and for its first second.
func (r *relay) live(stream string) {
	r.t.Helper()
	c, err := openOn(r.t, r.addrs["rtmp"], "play", stream, nil)
	for deadline := time.Now().Add(patience); err != nil; c, err = openOn(r.t, r.addrs["rtmp"], "play", stream, nil) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s is not live: %v", stream, err)
		}
		wait(r.t, 50*time.Millisecond)
	}
	v := watchClient(r.t, c, true)
	v.more(30)
	v.leave()
}

// recording is a viewer that keeps what it sees in a file.
type recording struct {
	*program
	file string
}

// record has ffmpeg record a stream as it comes, for so long.
func record(t testing.TB, url string, length time.Duration) recording {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recording.flv")
	return recording{file: file, program: ffmpeg(t, "-i", url, "-t", fmt.Sprint(length.Seconds()), "-c", "copy", file)}
}

// records has it recorded over RTMP and over HTTP-FLV.
func (r *relay) records(stream string, length time.Duration) []recording {
	r.t.Helper()
	return []recording{
		record(r.t, r.url("rtmp", "/"+stream), length), record(r.t, r.url("http", "/"+stream+".flv"), length),
	}
}

// good waits for the recording and asserts that nothing was wrong: on the way, in decoding,
// and with the decode times. It returns how long it is.
func (r recording) good(length time.Duration) time.Duration {
	r.t.Helper()
	if err := r.wait(2*length + patience); err != nil || strings.TrimSpace(r.output()) != "" {
		r.t.Errorf("%s: %v\n%s", r.cmd.Args, err, r.output())
	}
	// A browser's pictures come as they like: no rate is to be made of them.
	decoded := ffmpeg(r.t, "-i", r.file, "-fps_mode", "passthrough", "-enc_time_base:v", "1:1000", "-f", "null", "-")
	if err := decoded.wait(2 * patience); err != nil || strings.TrimSpace(decoded.output()) != "" {
		r.t.Errorf("%s does not decode: %v\n%s", r.cmd.Args, err, decoded.output())
	}
	packets := capture(r.t, "ffprobe", "-v", "error", "-show_entries", "packet=stream_index,dts_time", "-of", "csv=p=0", r.file)
	last, first := map[string]float64{}, -1.0
	end := 0.0
	for l := range strings.Lines(packets) {
		l = strings.Trim(l, ",\n")
		if l == "" {
			continue // side data, which has no fields of its own here
		}
		track, text, _ := strings.Cut(l, ",")
		dts, err := strconv.ParseFloat(text, 64)
		if err != nil {
			r.t.Fatalf("ffprobe says %q: %v", l, err)
		}
		if before, ok := last[track]; ok && dts <= before {
			r.t.Errorf("%s: DTS %v after %v", r.cmd.Args, dts, before)
		}
		last[track] = dts
		if first < 0 {
			first = dts
		}
		end = max(end, dts)
	}
	return time.Duration((end - first) * float64(time.Second))
}

// ffmpeg is killed and started again, while two others record.
func TestKilledEncoder(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	r := start(t)
	const stream, length = "live/cam", 20 * time.Second
	full := source{picture: "1280x720", tone: true}
	one := pushing(t, r.url("rtmp", "/"+stream), full)
	r.live(stream)
	recordings := r.records(stream, length)
	wait(t, 6*time.Second)
	one.kill()
	if l := r.broke(0); l.str("cause") != "eof" && l.str("cause") != "reset" {
		t.Error(l.text)
	}
	wait(t, 2*time.Second)
	two := pushing(t, r.url("rtmp", "/"+stream), full)
	r.resumed(0)
	for _, rec := range recordings {
		if got := rec.good(length); got < length-time.Second || got > length+time.Second {
			t.Errorf("%s is of %v", rec.cmd.Args, got)
		}
	}
	two.kill()
	if s := one.output() + two.output(); s != "" {
		t.Errorf("the encoders said:\n%s", s)
	}
}

// What comes after the break has another size.
func TestAnotherSize(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	r := start(t)
	const stream, length = "live/cam", 8 * time.Second
	one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	recordings := r.records(stream, length)
	wait(t, 3*time.Second)
	one.kill()
	r.broke(0)
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "854x480", tone: true})
	r.resumed(0)
	for _, rec := range recordings {
		rec.good(length)
		sizes := capture(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0", rec.file)
		if !strings.Contains(sizes, "640") || !strings.Contains(sizes, "854") {
			t.Errorf("%s holds pictures of one size only", rec.cmd.Args)
		}
	}
}

// Sound alone, pictures alone, MP3: all are seen as they are.
func TestKindsOfPush(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	for name, tt := range map[string]struct {
		source source
		codecs string
	}{
		"sound alone":    {source{tone: true}, "aac"},
		"pictures alone": {source{picture: "640x360"}, "h264"},
		"MP3":            {source{picture: "640x360", tone: true, mp3: true}, "h264 mp3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			const stream, length = "live/cam", 4 * time.Second
			push := pushing(t, r.url("rtmp", "/"+stream), tt.source)
			r.live(stream)
			for _, rec := range r.records(stream, length) {
				if got := rec.good(length); got < length-time.Second || got > length+time.Second {
					t.Errorf("%s is of %v", rec.cmd.Args, got)
				}
				codecs := strings.Fields(capture(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", rec.file))
				if got := strings.Join(codecs, " "); got != tt.codecs {
					t.Errorf("%s holds %s", rec.cmd.Args, got)
				}
			}
			push.kill()
			if s := push.output(); s != "" {
				t.Errorf("the encoder said:\n%s", s)
			}
		})
	}
}
