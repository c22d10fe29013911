package rtmp

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/message"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// recorded is what ffmpeg published, shifted so that its timestamps pass 24 bits.
func recorded(t *testing.T, shift time.Duration) []*packetbuf.Packet {
	t.Helper()
	access := newAccess()
	_, addr := serveTCP(t, Options{Access: access})
	run(t, "ffmpeg", append(testSource, "-f", "flv", "rtmp://"+addr+"/live/cam")...)
	sink := wait(t, "publish", access.sinks)
	wait(t, "end", sink.ended)
	close(sink.packets)
	var ps []*packetbuf.Packet
	for p := range sink.packets {
		p.DTS += shift
		ps = append(ps, p)
	}
	return ps
}

// playback plays packets and ends.
func playback(ps []*packetbuf.Packet) playFunc {
	return func(_ context.Context, _ PlayRequest, c *PlayConn) error {
		if err := c.Start(); err != nil {
			return err
		}
		ids := [...]uint32{packetbuf.Video: VideoChunkStream, packetbuf.Audio: AudioChunkStream, packetbuf.Data: DataChunkStream}
		var bufs net.Buffers
		for _, p := range ps {
			head, err := flv.AppendBodyHeader(nil, p)
			if err != nil {
				return err
			}
			h := wire.Header{ChunkStream: ids[p.Track], Stream: c.StreamID(), Type: flv.TagType(p.Track), Timestamp: p.Millis()}
			bufs = append(bufs, wire.AppendMessage(nil, h, c.ChunkSize(), head, p.Payload))
		}
		if err := c.Write(&bufs); err != nil {
			return err
		}
		c.End("played")
		return nil
	}
}

func TestPlayers(t *testing.T) {
	ps := recorded(t, 0xfffc00*time.Millisecond)
	_, addr := serveTCP(t, Options{Access: newAccess(), Plays: playback(ps)})
	address := "rtmp://" + addr + "/live/cam?token=x"

	t.Run("rtmpdump, bit for bit", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "out.flv")
		out, err := exec.Command(program(t, "rtmpdump"), "--live", "-r", address, "-o", file).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "Download may be incomplete") {
			t.Errorf("%v\n%s", err, out)
		}
		same := readFLV(t, file)
		i := 0
		for _, p := range ps {
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
		want := 0
		for _, p := range ps {
			if p.Media() && p.Track == packetbuf.Video {
				want++
			}
		}
		for got := 0; got < want; {
			m, err := c.Read()
			if err != nil {
				t.Fatalf("after %d of %d frames: %v", got, want, err)
			}
			if v, ok := m.(*message.Video); ok && v.Type == message.VideoTypeAU {
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
