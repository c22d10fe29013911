package push

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// clipLength is the length of the streams that are measured.
const clipLength = 6 * time.Second

// obsStreams are streams as OBS produces them with x264: veryfast, constant 2500 kb/s with a buffer of one
// second and filler data, a keyframe every 2 s, AAC at 160 kb/s.
var obsStreams = []struct {
	name    string
	fps     int
	bframes int
}{
	{"30 fps, 2 B-frames", 30, 2},
	{"30 fps, no B-frames", 30, 0},
	{"60 fps, 2 B-frames", 60, 2},
	{"60 fps, no B-frames", 60, 0},
}

// rungs are the rungs that drop parts of a stream, and full for comparison.
var rungs = []struct {
	name string
	thin thinner
}{
	{"full", thinner{}},
	{"drop-disposable", thinner{rung: policy.DropDisposable}},
	{"trim at 0.5", thinner{rung: policy.Trim, share: 0.5}},
	{"keyframes", thinner{rung: policy.Keyframes}},
	{"audio", thinner{rung: policy.Audio}},
}

// TestRungBitrates thins streams with OBS's settings to each rung, decodes the result with ffmpeg and
// prints the table of README.md.
func TestRungBitrates(t *testing.T) {
	encoder := requireProgram(t, "ffmpeg")
	columns := make([][]string, len(obsStreams))
	t.Run("streams", func(t *testing.T) {
		for i, o := range obsStreams {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				columns[i] = measureRungs(t, encoder, encode(t, encoder, o.fps, o.bframes), o.bframes > 0)
			})
		}
	})
	if t.Failed() {
		return
	}
	table := "| kb/s |"
	for _, o := range obsStreams {
		table += " " + o.name + " |"
	}
	table += "\n| --- |" + strings.Repeat(" ---: |", len(obsStreams)) + "\n"
	for i, m := range rungs {
		table += "| " + m.name + " |"
		for _, c := range columns {
			table += " " + c[i] + " |"
		}
		table += "\n"
	}
	t.Log("\n" + table)
}

// measureRungs returns the bit rate of a stream on each rung. Each must be lower than on the rung above,
// except for disposable frames of a stream that has none.
func measureRungs(t *testing.T, decoder string, packets []*packetbuf.Packet, disposable bool) []string {
	var out []string
	above, full := 0.0, 0.0
	for i, m := range rungs {
		left, rate := applyThinner(packets, m.thin)
		full = max(full, rate)
		if m.thin.rung == policy.DropDisposable && !disposable {
			if rate != above {
				t.Errorf("got %.0f of %.0f b/s disposable, want 0", above-rate, above)
			}
		} else if i > 0 && rate >= above {
			t.Errorf("%s: got %.0f b/s, want less than the %.0f of the rung above", m.name, rate, above)
		}
		above = rate
		checkDecodes(t, decoder, left, m.thin.rung != policy.Audio)
		out = append(out, fmt.Sprintf("%.0f (%.0f %%)", rate/1e3, 100*rate/full))
	}
	return out
}

// requireProgram returns the path of a program. Without it the test is skipped, or fails in CI.
func requireProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%s is required: %v", name, err)
	}
	return path
}

// encode encodes a stream and reads it as an ingest would. The video zooms into the Mandelbrot set with a
// test pattern moving over it and noise on both. Most of each frame changes, and no block equals the one
// before.
func encode(t *testing.T, encoder string, fps, bframes int) []*packetbuf.Packet {
	t.Helper()
	scene := fmt.Sprintf("mandelbrot=size=640x360:rate=%d:maxiter=300,scale=1280:720,format=yuv420p[back];testsrc2=size=480x270:rate=%d,format=yuv420p[over];"+
		"[back][over]overlay=x='mod(120*t,800)':y='225+180*sin(2*t)',noise=alls=12:allf=t", fps, fps)
	cmd := exec.CommandContext(t.Context(), encoder, "-hide_banner", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", scene, "-f", "lavfi", "-i", "anoisesrc=amplitude=0.3:color=pink:sample_rate=48000",
		"-t", fmt.Sprint(clipLength.Seconds()),
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "2500k", "-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "2500k", "-nal-hrd", "cbr",
		"-g", fmt.Sprint(2*fps), "-bf", fmt.Sprint(bframes), "-c:a", "aac", "-b:a", "160k", "-ac", "2", "-f", "flv", "-") //nolint:gosec // fixed arguments
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("encode: %v\n%s", err, &stderr)
	}
	return ingest(t, &out)
}

// ingest reads an FLV file as an ingest reads a publisher.
func ingest(t *testing.T, file io.Reader) []*packetbuf.Packet {
	t.Helper()
	var packets []*packetbuf.Packet
	var in flv.Intake
	for r := flv.NewReader(bufio.NewReader(file), 0); ; {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		track, ok := flv.TrackOf(tag.Type)
		if !ok {
			continue
		}
		taken, err := in.Take(time.Time{}, track, tag.Timestamp, tag.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range taken {
			p.Seq = uint64(len(packets) + 1)
			packets = append(packets, p)
		}
	}
}

// applyThinner returns what a thinner keeps of a stream and its payload rate in bits per second. The rate
// is measured from the second keyframe, since trim sends the first GOP whole.
func applyThinner(packets []*packetbuf.Packet, thin thinner) (out []*packetbuf.Packet, rate float64) {
	keys, bytes := 0, 0
	var from time.Duration
	for _, p := range packets {
		if p.Kind == packetbuf.Key {
			if keys++; keys == 2 {
				from = p.DTS
			}
		}
		if !thin.keep(p) {
			continue
		}
		out = append(out, p)
		if keys > 1 && p.Media() {
			bytes += len(p.Payload)
		}
	}
	return out, float64(8*bytes) / (clipLength - from).Seconds()
}

// checkDecodes decodes a stream. The decoder must print no message and return as many frames of video and
// audio as went in.
func checkDecodes(t *testing.T, decoder string, packets []*packetbuf.Packet, video bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.flv")
	file := flv.Header(video, true)
	var sent, received [packetbuf.NumTracks]int
	for _, p := range packets {
		if p.Track == packetbuf.Data || p.Track == packetbuf.Video && !video {
			continue // only configuration is left
		}
		file = append(file, flv.Tag(p)...)
		if p.Media() {
			sent[p.Track]++
		}
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-hide_banner", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i", path}
	if video {
		args = append(args, "-map", "0:v")
	}
	// One line of framecrc is one frame.
	args = append(args, "-map", "0:a", "-vsync", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-")
	cmd := exec.CommandContext(t.Context(), decoder, args...) //nolint:gosec // fixed arguments
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("decode: %v\n%s", err, &stderr)
	}
	for line := range strings.Lines(out.String()) {
		switch {
		case video && strings.HasPrefix(line, "0,"):
			received[packetbuf.Video]++
		case strings.HasPrefix(line, "0,"), strings.HasPrefix(line, "1,"):
			received[packetbuf.Audio]++
		}
	}
	if received != sent || sent[packetbuf.Audio] == 0 {
		t.Errorf("got %d frames decoded by track, want %d", received, sent)
	}
}
