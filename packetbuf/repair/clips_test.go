package repair_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// ffmpeg returns the output of ffmpeg.
func ffmpeg(t *testing.T, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs ffmpeg")
		}
		t.Skip("needs ffmpeg")
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...) //nolint:gosec // the test's own arguments
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, &complaints)
	}
	return out.Bytes()
}

// encodeH264 encodes a moving test pattern with x264. It returns the configuration and the frames, as a
// correct publisher sends them.
func encodeH264(t *testing.T, size string, frames, x264 string) []*packetbuf.Packet {
	t.Helper()
	file := ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=r=25:s="+size, "-frames:v", frames,
		"-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-x264-params", x264, "-f", "flv", "-")
	var packets []*packetbuf.Packet
	for r := flv.NewReader(bytes.NewReader(file), 0); ; {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := tag.Packet()
		if err != nil {
			t.Fatal(err)
		}
		if p != nil && p.Track == packetbuf.Video {
			packets = append(packets, p)
		}
	}
}

// encodeHEVC does the same as h264 with x265.
func encodeHEVC(t *testing.T, x265 string) []*packetbuf.Packet {
	t.Helper()
	stream := codec.AppendAnnexB(nil, ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=r=25:s=320x256", "-frames:v", "40",
		"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0:keyint=20:aud=1:"+x265, "-f", "hevc", "-"))
	var sets codec.HEVCSets
	var packets []*packetbuf.Packet
	for len(stream) > 0 {
		nal, rest, err := codec.NextNAL(stream, 4)
		if err != nil {
			t.Fatal(err)
		}
		stream = rest
		const delimiter, vps, pps = 35, 32, 34
		switch kind := int(nal[0] >> 1 & 0x3f); {
		case kind == delimiter:
			packets = append(packets, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, DTS: time.Duration(len(packets)) * 40 * time.Millisecond})
			continue
		case kind >= vps && kind <= pps:
			if len(sets[kind-vps]) == 0 {
				sets[kind-vps] = append(sets[kind-vps], nal)
			}
			continue
		}
		p := packets[len(packets)-1]
		p.Payload = codec.AppendNAL(p.Payload, nal)
	}
	for _, p := range packets {
		p.Kind = codec.VideoKind(packetbuf.HEVC, p.Payload, packetbuf.Delta)
	}
	record, err := codec.NewHEVCConfig(sets)
	if err != nil {
		t.Fatal(err)
	}
	config := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Config, Payload: record}
	return append([]*packetbuf.Packet{config}, packets...)
}

// nalUnits returns the NAL units of an access unit.
func nalUnits(t *testing.T, p *packetbuf.Packet) (all [][]byte) {
	t.Helper()
	for rest := p.Payload; len(rest) > 0; {
		nal, next, err := codec.NextNAL(rest, 4)
		if err != nil {
			t.Fatal(err)
		}
		all, rest = append(all, nal), next
	}
	return all
}

// withPayload returns a copy of p with another payload.
func withPayload(p *packetbuf.Packet, payload []byte) *packetbuf.Packet {
	return &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: p.DTS, CTO: p.CTO, Payload: payload}
}

// parameterSets returns the parameter sets of a configuration as NAL units with length prefixes.
func parameterSets(t *testing.T, config *packetbuf.Packet) []byte {
	t.Helper()
	if config.Codec == packetbuf.HEVC {
		au, err := codec.HEVCParameterSets(config.Payload)
		if err != nil {
			t.Fatal(err)
		}
		return au
	}
	c, err := codec.ParseAVCConfig(config.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return c.AppendParameterSets(nil)
}

// message is one message of a publisher.
type message struct {
	packet *packetbuf.Packet
	raw    []byte // a body to send instead of packet
}

// takeAll passes messages, 10 ms apart, to an intake and returns the packets and the repairs by reason.
func takeAll(t *testing.T, messages []message) ([]*packetbuf.Packet, map[string]uint64) {
	t.Helper()
	var in flv.Intake
	var out []*packetbuf.Packet
	now := time.Unix(1, 0)
	for _, m := range messages {
		body, track, stamp := m.raw, packetbuf.Video, uint32(0)
		if m.packet != nil {
			track, stamp = m.packet.Track, m.packet.Millis()
		}
		if body == nil {
			var err error
			if body, err = flv.AppendBody(nil, m.packet); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(10 * time.Millisecond)
		packets, err := in.Take(now, track, stamp, body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, packets...)
	}
	packets, _ := in.Flush(time.Time{})
	repairs := map[string]uint64{}
	for _, r := range in.Repairs.Drain() {
		repairs[r.Reason.String()] = r.Count
	}
	return append(out, packets...), repairs
}
