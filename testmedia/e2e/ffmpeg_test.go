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

// startFFmpeg runs ffmpeg, which prints only warnings and errors.
func startFFmpeg(t testing.TB, args ...string) *program {
	t.Helper()
	return launch(t, "ffmpeg", append([]string{"-hide_banner", "-nostdin", "-v", "warning"}, args...)...)
}

// encoderSource describes what ffmpeg generates and pushes.
type encoderSource struct {
	size   string // frame size; empty: no video
	tone   bool
	mp3    bool
	length time.Duration // 0: unlimited
	output []string      // default: -f flv
}

// arguments returns the arguments to generate and encode the source in real time.
func (s encoderSource) arguments() []string {
	length := ""
	if s.length > 0 {
		length = ":duration=" + strconv.FormatFloat(s.length.Seconds(), 'f', -1, 64)
	}
	var in, out []string
	if s.size != "" {
		in = append(in, "-re", "-f", "lavfi", "-i", "testsrc2=rate=25:size="+s.size+length)
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

// startEncoder runs ffmpeg to push a source.
func startEncoder(t testing.TB, url string, s encoderSource) *program {
	t.Helper()
	return startFFmpeg(t, append(s.arguments(), url)...)
}

// waitLive waits for the stream and its first second.
func (r *relay) waitLive(stream string) {
	r.t.Helper()
	c, err := openClient(r.t, r.addrs["rtmp"], "play", stream, nil)
	for deadline := time.Now().Add(waitLimit); err != nil; c, err = openClient(r.t, r.addrs["rtmp"], "play", stream, nil) {
		if time.Now().After(deadline) {
			r.t.Fatalf("wait for %s to go live: %v", stream, err)
		}
		sleep(r.t, 50*time.Millisecond)
	}
	v := watchClient(r.t, c, true)
	v.waitFrames(30)
	v.leave()
}

// recording is a viewer that records to a file.
type recording struct {
	*program
	file string
}

// record runs ffmpeg to record a stream for a time.
func record(t testing.TB, url string, length time.Duration) recording {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recording.flv")
	return recording{file: file, program: startFFmpeg(t, "-i", url, "-t", fmt.Sprint(length.Seconds()), "-c", "copy", file)}
}

// recordBoth records a stream over RTMP and over HTTP-FLV.
func (r *relay) recordBoth(stream string, length time.Duration) []recording {
	r.t.Helper()
	return []recording{
		record(r.t, r.url("rtmp", "/"+stream), length), record(r.t, r.url("http", "/"+stream+".flv"), length),
	}
}

// check waits for the recording and checks it: there must be no error in the transfer or in decoding, and
// DTS must increase. It returns the length of the recording.
func (r recording) check(length time.Duration) time.Duration {
	r.t.Helper()
	if err := r.wait(2*length + waitLimit); err != nil || strings.TrimSpace(r.output()) != "" {
		r.t.Errorf("%s: %v\n%s", r.cmd.Args, err, r.output())
	}
	// A browser's frame rate is variable and must not be changed.
	decoded := startFFmpeg(r.t, "-i", r.file, "-fps_mode", "passthrough", "-enc_time_base:v", "1:1000", "-f", "null", "-")
	if err := decoded.wait(2 * waitLimit); err != nil || strings.TrimSpace(decoded.output()) != "" {
		r.t.Errorf("decode %s: %v\n%s", r.cmd.Args, err, decoded.output())
	}
	packets := runProgram(r.t, "ffprobe", "-v", "error", "-show_entries", "packet=stream_index,dts_time", "-of", "csv=p=0", r.file)
	last, first := map[string]float64{}, -1.0
	end := 0.0
	for l := range strings.Lines(packets) {
		l = strings.Trim(l, ",\n")
		if l == "" {
			continue // side data, which has no fields here
		}
		track, text, _ := strings.Cut(l, ",")
		dts, err := strconv.ParseFloat(text, 64)
		if err != nil {
			r.t.Fatalf("parse ffprobe output %q: %v", l, err)
		}
		if before, ok := last[track]; ok && dts <= before {
			r.t.Errorf("%s: got DTS %v after %v", r.cmd.Args, dts, before)
		}
		last[track] = dts
		if first < 0 {
			first = dts
		}
		end = max(end, dts)
	}
	return time.Duration((end - first) * float64(time.Second))
}

// TestEncoderKilledAndRestarted kills ffmpeg and starts it again while two others record.
func TestEncoderKilledAndRestarted(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t)
	const stream, length = "live/cam", 20 * time.Second
	full := encoderSource{size: "1280x720", tone: true}
	one := startEncoder(t, r.url("rtmp", "/"+stream), full)
	r.waitLive(stream)
	recordings := r.recordBoth(stream, length)
	sleep(t, 6*time.Second)
	one.kill()
	if l := r.waitBreak(0); l.str("cause") != "eof" && l.str("cause") != "reset" {
		t.Error(l.text)
	}
	sleep(t, 2*time.Second)
	two := startEncoder(t, r.url("rtmp", "/"+stream), full)
	r.waitResume(0)
	for _, rec := range recordings {
		if got := rec.check(length); got < length-time.Second || got > length+time.Second {
			t.Errorf("%s: got a recording of %v", rec.cmd.Args, got)
		}
	}
	two.kill()
	if s := one.output() + two.output(); s != "" {
		t.Errorf("output of the encoders:\n%s", s)
	}
}

// TestFrameSizeChanges restarts the encoder with another frame size.
func TestFrameSizeChanges(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t)
	const stream, length = "live/cam", 8 * time.Second
	one := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	recordings := r.recordBoth(stream, length)
	sleep(t, 3*time.Second)
	one.kill()
	r.waitBreak(0)
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "854x480", tone: true})
	r.waitResume(0)
	for _, rec := range recordings {
		rec.check(length)
		sizes := runProgram(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0", rec.file)
		if !strings.Contains(sizes, "640") || !strings.Contains(sizes, "854") {
			t.Errorf("%s: got one frame size only, want two", rec.cmd.Args)
		}
	}
}

// TestTrackCombinations pushes audio only, video only and MP3.
func TestTrackCombinations(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	for name, tt := range map[string]struct {
		source encoderSource
		codecs string
	}{
		"audio only": {encoderSource{tone: true}, "aac"},
		"video only": {encoderSource{size: "640x360"}, "h264"},
		"MP3":        {encoderSource{size: "640x360", tone: true, mp3: true}, "h264 mp3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRelay(t)
			const stream, length = "live/cam", 4 * time.Second
			push := startEncoder(t, r.url("rtmp", "/"+stream), tt.source)
			r.waitLive(stream)
			for _, rec := range r.recordBoth(stream, length) {
				if got := rec.check(length); got < length-time.Second || got > length+time.Second {
					t.Errorf("%s: got a recording of %v", rec.cmd.Args, got)
				}
				codecs := strings.Fields(runProgram(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", rec.file))
				if got := strings.Join(codecs, " "); got != tt.codecs {
					t.Errorf("%s: got tracks %s", rec.cmd.Args, got)
				}
			}
			push.kill()
			if s := push.output(); s != "" {
				t.Errorf("output of the encoder:\n%s", s)
			}
		})
	}
}
