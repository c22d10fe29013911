package rtmp

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	libmessage "github.com/bluenviron/gortmplib/pkg/message"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia"
)

// program returns the path of a program that a test needs. Under CI it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// Players in use play a stream whose timestamps pass 24 bits.
func TestPlayersInUse(t *testing.T) {
	clip := testmedia.Clip()
	for _, p := range clip {
		p.DTS += 0xfffc00 * time.Millisecond
	}
	address := "rtmp://" + listen(t, newStreams(clip), newMetrics()) + "/live/cam?token=x"

	t.Run("rtmpdump, bit for bit", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "out.flv")
		out, err := exec.Command(program(t, "rtmpdump"), "--live", "-r", address, "-o", file).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "Download may be incomplete") {
			t.Errorf("%v\n%s", err, out)
		}
		same := readFLV(t, file)
		i := 0
		for _, p := range clip {
			if !p.Media() {
				continue
			}
			if i >= len(same) || !bytes.Equal(same[i].Payload, p.Payload) {
				t.Fatalf("packet %d differs", i)
			}
			i++
		}
		if i != len(same) {
			t.Errorf("%d packets, want %d", len(same), i)
		}
	})
	t.Run("ffmpeg", func(t *testing.T) {
		out, err := exec.Command(program(t, "ffmpeg"), "-hide_banner", "-v", "warning", "-i", address, "-f", "null", "-").CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("gortmplib", func(t *testing.T) {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		c := &gortmplib.Client{URL: u}
		if err := c.Initialize(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for got := 0; got < testmedia.ClipFrames; {
			m, err := c.Read()
			if err != nil {
				t.Fatalf("after %d of %d frames: %v", got, testmedia.ClipFrames, err)
			}
			if v, ok := m.(*libmessage.Video); ok && v.Type == libmessage.VideoTypeAU {
				got++
			}
		}
	})
}

func readFLV(t *testing.T, file string) (media []*packetbuf.Packet) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a test
	r := flv.NewReader(f, 1<<20)
	for {
		tag, err := r.Next()
		if err != nil {
			return media
		}
		p, err := tag.Packet()
		if err == nil && p != nil && p.Media() {
			media = append(media, p)
		}
	}
}
