package codec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// encodings are variants of H.264. HOLDFAST_SWEEP=1 tests them at full size and cut after each
// picture of more than two GOPs.
var encodings = []struct {
	name, size string
	args       string
}{
	{"defaults", "854x480", "-c:v libx264"},
	{"OBS", "1280x720", "-c:v libx264 -preset veryfast -b:v 2500k -minrate 2500k -maxrate 2500k -bufsize 2500k -bf 2 -x264-params nal-hrd=cbr"},
	{"baseline", "854x480", "-c:v libx264 -profile:v baseline"},
	{"main", "1280x720", "-c:v libx264 -profile:v main"},
	{"ultrafast", "1280x720", "-c:v libx264 -preset ultrafast"},
	{"zerolatency in slices", "854x480", "-c:v libx264 -tune zerolatency -x264-params slices=4"},
	{"pyramid and weights", "1280x720", "-c:v libx264 -bf 3 -refs 4 -x264-params b-pyramid=normal:weightp=2:weightb=1"},
	{"strict pyramid", "854x480", "-c:v libx264 -bf 3 -x264-params b-pyramid=strict"},
	{"sixteen references", "640x360", "-c:v libx264 -preset veryslow -bf 8 -refs 16"},
	{"intra refresh", "640x360", "-c:v libx264 -x264-params intra-refresh=1"},
	{"open GOP", "640x360", "-c:v libx264 -x264-params open-gop=1"},
	{"MBAFF", "1280x720", "-c:v libx264 -flags +ildct+ilme -x264-params tff=1"},
	{"MBAFF of baseline tools", "854x480", "-c:v libx264 -flags +ildct+ilme -x264-params tff=1:cabac=0"},
	{"4:2:2 of 10 bits", "854x480", "-c:v libx264 -pix_fmt yuv422p10le"},
	{"4:4:4", "854x480", "-c:v libx264 -pix_fmt yuv444p"},
	{"grey", "854x480", "-c:v libx264 -pix_fmt gray"},
	{"one reference", "854x480", "-c:v libx264 -refs 1 -bf 0"},
	{"cropped", "1918x1078", "-c:v libx264 -preset veryfast"},
}

// TestFreezeRepeatsTheLastPicture cuts streams anywhere and continues with freeze frames, then with
// the frames that a viewer that joins is sent, and then with a session from its start. ffmpeg must
// decode everything without a warning, and each picture must be as expected.
func TestFreezeRepeatsTheLastPicture(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	sweep := os.Getenv("HOLDFAST_SWEEP") != ""
	for _, e := range encodings {
		t.Run(e.name, func(t *testing.T) {
			size, length := "118x68", "24"
			if sweep {
				size, length = e.size, "60"
			}
			args := []string{"-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=25,eq=brightness=0.3*sin(t*5):eval=frame", "-frames:v", length}
			if !strings.Contains(e.args, "-pix_fmt") {
				args = append(args, "-pix_fmt", "yuv420p")
			}
			args = append(args, strings.Fields(e.args+" -g 25 -threads 1 -f flv -flvflags no_duration_filesize -")...)
			cuts, frozen := freezeAll(t, runFFmpeg(t, nil, args...))
			t.Logf("%d cuts, %.1f bytes a made picture", cuts, frozen)
		})
	}
}

// freezeAll cuts the file after each picture. It returns the number of cuts and the average size of
// a freeze frame.
func freezeAll(t *testing.T, file []byte) (cuts int, size float64) {
	t.Helper()
	config, pictures := readClip(t, file)
	const made = 20
	sets := annexB(config.AppendParameterSets(nil))
	stream := slices.Clone(sets)
	for _, p := range pictures {
		stream = append(stream, annexB(p.Payload)...)
	}
	shown := framemd5(t, stream)
	if len(shown) != len(pictures) {
		t.Fatalf("got %d decoded pictures, want %d", len(shown), len(pictures))
	}
	sums := map[*packetbuf.Packet]string{}
	for i, p := range inOrder(pictures) {
		sums[p] = shown[i]
	}
	var want []string
	stream = slices.Clone(sets)
	play := func(pictures []*packetbuf.Packet) {
		for _, p := range pictures {
			stream = append(stream, annexB(p.Payload)...)
		}
		for _, p := range inOrder(pictures) {
			want = append(want, sums[p])
		}
	}
	bytesMade := 0
	for n := 1; n <= len(pictures); n++ {
		f := codec.NewFreezer(config)
		f.SetRound(n % 8)
		for _, p := range pictures[:n] {
			f.Follow(p.Payload)
		}
		if err := f.Ready(); err != nil {
			t.Fatalf("ready after %d pictures: %v", n, err)
		}
		repeat := func(au []byte) {
			stream = append(stream, annexB(au)...)
			want = append(want, want[len(want)-1])
		}
		play(pictures[:n])
		for range made {
			au := f.Next()
			bytesMade += len(au)
			repeat(au)
		}
		play(pictures[:n]) // to the viewer that joins
		for _, au := range f.Way() {
			repeat(au)
		}
		for range 5 {
			repeat(f.Next())
		}
		cuts++
	}
	got := framemd5(t, stream)
	if len(got) != len(want) {
		t.Fatalf("got %d pictures, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("picture %d of %d differs", i, len(got))
		}
	}
	return cuts, float64(bytesMade) / float64(cuts*made)
}

func inOrder(pictures []*packetbuf.Packet) []*packetbuf.Packet {
	return slices.SortedFunc(slices.Values(pictures), func(a, b *packetbuf.Packet) int { return int(a.PTS() - b.PTS()) })
}

func readClip(t *testing.T, file []byte) (config codec.AVCConfig, pictures []*packetbuf.Packet) {
	t.Helper()
	for r := flv.NewReader(bytes.NewReader(file), 0); ; {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			return config, pictures
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := tag.Packet()
		switch {
		case err != nil:
			t.Fatal(err)
		case p == nil || p.Track != packetbuf.Video:
		case p.Kind == packetbuf.Config:
			if config, err = codec.ParseAVCConfig(p.Payload); err != nil {
				t.Fatal(err)
			}
		default:
			pictures = append(pictures, p)
		}
	}
}

func annexB(au []byte) (out []byte) {
	for len(au) > 4 {
		n := binary.BigEndian.Uint32(au)
		out = append(append(out, 0, 0, 0, 1), au[4:4+n]...)
		au = au[4+n:]
	}
	return out
}

// framemd5 returns the checksums of the decoded pictures in display order.
func framemd5(t *testing.T, stream []byte) (sums []string) {
	t.Helper()
	for line := range strings.Lines(string(runFFmpeg(t, stream, "-threads", "1", "-f", "h264", "-i", "-", "-fps_mode", "passthrough", "-f", "framemd5", "-"))) {
		if fields := strings.Split(line, ","); len(fields) == 6 && !strings.HasPrefix(line, "#") {
			sums = append(sums, fields[5])
		}
	}
	return sums
}

// runFFmpeg returns the output of ffmpeg. A warning is a failure.
func runFFmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ffmpeg", append([]string{"-nostdin", "-v", "warning"}, args...)...)
	if in != nil {
		cmd.Args = slices.DeleteFunc(cmd.Args, func(a string) bool { return a == "-nostdin" })
		cmd.Stdin = bytes.NewReader(in)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	said := slices.DeleteFunc(strings.Split(stderr.String(), "\n"), func(s string) bool {
		return s == "" || strings.Contains(s, "[libx264") || strings.Contains(s, "libx264 @")
	})
	if err != nil || len(said) > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, strings.Join(said[:min(len(said), 8)], "\n"))
	}
	return out
}
