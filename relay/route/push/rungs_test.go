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

// filmed is how long the streams are that the rungs are measured on.
const filmed = 6 * time.Second

// obs are streams as OBS makes them with x264: veryfast, 2500 kb/s constant with the buffer of
// a second and filler data, a keyframe every 2 s, AAC at 160 kb/s.
var obs = []struct {
	name    string
	fps     int
	bframes int
}{
	{"30 fps, 2 B-frames", 30, 2},
	{"30 fps, no B-frames", 30, 0},
	{"60 fps, 2 B-frames", 60, 2},
	{"60 fps, no B-frames", 60, 0},
}

// measured are the rungs that leave something out of a stream, and full to compare.
var measured = []struct {
	name string
	thin thinner
}{
	{"full", thinner{}},
	{"drop-disposable", thinner{rung: policy.DropDisposable}},
	{"trim at 0.5", thinner{rung: policy.Trim, share: 0.5}},
	{"keyframes", thinner{rung: policy.Keyframes}},
	{"audio", thinner{rung: policy.Audio}},
}

// TestWhatEachRungSaves puts streams with OBS's settings through each rung, has ffmpeg decode
// what comes out, and prints the table of README.md.
func TestWhatEachRungSaves(t *testing.T) {
	encoder := program(t, "ffmpeg")
	columns := make([][]string, len(obs))
	t.Run("streams", func(t *testing.T) {
		for i, o := range obs {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				columns[i] = saved(t, encoder, encoded(t, encoder, o.fps, o.bframes), o.bframes > 0)
			})
		}
	})
	if t.Failed() {
		return
	}
	table := "| kb/s |"
	for _, o := range obs {
		table += " " + o.name + " |"
	}
	table += "\n| --- |" + strings.Repeat(" ---: |", len(obs)) + "\n"
	for i, m := range measured {
		table += "| " + m.name + " |"
		for _, c := range columns {
			table += " " + c[i] + " |"
		}
		table += "\n"
	}
	t.Log("\n" + table)
}

// saved is what each rung takes of a stream. Each takes less than the one above it, but for
// disposable frames of a stream that has none.
func saved(t *testing.T, decoder string, packets []*packetbuf.Packet, disposable bool) []string {
	var out []string
	above, full := 0.0, 0.0
	for i, m := range measured {
		left, rate := thinned(packets, m.thin)
		full = max(full, rate)
		if m.thin.rung == policy.DropDisposable && !disposable {
			if rate != above {
				t.Errorf("%.0f of %.0f b/s are disposable", above-rate, above)
			}
		} else if i > 0 && rate >= above {
			t.Errorf("%s takes %.0f b/s, the rung above %.0f", m.name, rate, above)
		}
		above = rate
		decodes(t, decoder, left, m.thin.rung != policy.Audio)
		out = append(out, fmt.Sprintf("%.0f (%.0f %%)", rate/1e3, 100*rate/full))
	}
	return out
}

// program returns the path of a program that a test needs. Under CI it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("this needs %s: %v", name, err)
	}
	return path
}

// encoded has a stream encoded and reads it as a publisher's is read. What is shown is a zoom
// into the Mandelbrot set with a test picture drifting over it, and noise on both: most of each
// picture moves, and no block is quite like the one before.
func encoded(t *testing.T, encoder string, fps, bframes int) []*packetbuf.Packet {
	t.Helper()
	scene := fmt.Sprintf("mandelbrot=size=640x360:rate=%d:maxiter=300,scale=1280:720,format=yuv420p[back];testsrc2=size=480x270:rate=%d,format=yuv420p[over];"+
		"[back][over]overlay=x='mod(120*t,800)':y='225+180*sin(2*t)',noise=alls=12:allf=t", fps, fps)
	cmd := exec.CommandContext(t.Context(), encoder, "-hide_banner", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", scene, "-f", "lavfi", "-i", "anoisesrc=amplitude=0.3:color=pink:sample_rate=48000",
		"-t", fmt.Sprint(filmed.Seconds()),
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "2500k", "-minrate", "2500k", "-maxrate", "2500k", "-bufsize", "2500k", "-nal-hrd", "cbr",
		"-g", fmt.Sprint(2*fps), "-bf", fmt.Sprint(bframes), "-c:a", "aac", "-b:a", "160k", "-ac", "2", "-f", "flv", "-") //nolint:gosec // a test's own words
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("encode: %v\n%s", err, &complaints)
	}
	return ingested(t, &out)
}

// ingested reads a file as an ingest does a publisher.
func ingested(t *testing.T, file io.Reader) []*packetbuf.Packet {
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

// thinned is what a thinner leaves of a stream, and what that takes in bits per second of
// payload from the second keyframe on: the first GOP goes out whole at trim.
func thinned(packets []*packetbuf.Packet, thin thinner) (out []*packetbuf.Packet, rate float64) {
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
	return out, float64(8*bytes) / (filmed - from).Seconds()
}

// decodes has a stream decoded: without one word of complaint, and to as many pictures and
// sounds as went in.
func decodes(t *testing.T, decoder string, packets []*packetbuf.Packet, pictures bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.flv")
	file := flv.Header(pictures, true)
	var went, came [packetbuf.NumTracks]int
	for _, p := range packets {
		if p.Track == packetbuf.Data || p.Track == packetbuf.Video && !pictures {
			continue // configuration alone, and of what there is no more
		}
		file = append(file, flv.Tag(p)...)
		if p.Media() {
			went[p.Track]++
		}
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-hide_banner", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i", path}
	if pictures {
		args = append(args, "-map", "0:v")
	}
	// One line of framecrc is one frame.
	args = append(args, "-map", "0:a", "-vsync", "passthrough", "-enc_time_base", "-1", "-f", "framecrc", "-")
	cmd := exec.CommandContext(t.Context(), decoder, args...) //nolint:gosec // a test's own words
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Errorf("decode: %v\n%s", err, &complaints)
	}
	for line := range strings.Lines(out.String()) {
		switch {
		case pictures && strings.HasPrefix(line, "0,"):
			came[packetbuf.Video]++
		case strings.HasPrefix(line, "0,"), strings.HasPrefix(line, "1,"):
			came[packetbuf.Audio]++
		}
	}
	if came != went || went[packetbuf.Audio] == 0 {
		t.Errorf("%d pictures and sounds were decoded of %d", came, went)
	}
}
