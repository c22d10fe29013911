package whep

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// film returns one second of a test pattern. Without ffmpeg the test is skipped, except in CI,
// where it fails.
func film(t *testing.T, muxer, args string) []byte {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is missing")
		}
		t.Skip("ffmpeg is missing")
	}
	all := append(strings.Fields("-v error -nostdin -f lavfi -i testsrc2=size=320x180:rate=30 -frames:v 25 -pix_fmt yuv420p -threads 2 -g 10"), strings.Fields(args)...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, append(all, "-f", muxer, "-")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
	return out
}

// splitFrames splits a byte stream with one slice per frame into access units with 4-byte lengths.
func splitFrames(stream []byte, isSlice, isKey func(nal []byte) bool) (out []*packetbuf.Packet) {
	var au []byte
	for rest := codec.AppendAnnexB(nil, stream); len(rest) > 0; {
		var nal []byte
		nal, rest, _ = codec.NextNAL(rest, 4)
		au = codec.AppendNAL(au, nal)
		if isSlice(nal) {
			kind := packetbuf.Delta
			if isKey(nal) {
				kind = packetbuf.Key
			}
			out = append(out, &packetbuf.Packet{Kind: kind, Payload: au})
			au = nil
		}
	}
	return out
}

// Output of encoders is received unchanged, except for delimiters and B-frames, which are
// dropped.
func TestClipsOfH264(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"baseline": "-c:v libx264 -preset ultrafast -profile:v baseline",
		"high":     "-c:v libx264 -preset veryfast -profile:v high -bf 0 -aud 1",
		"B":        "-c:v libx264 -preset veryfast -bf 2",
	} {
		all := splitFrames(film(t, "h264", args+" -x264-params sliced-threads=0:slices=1"),
			func(nal []byte) bool { n := codec.NALType(nal); return n >= codec.NALSlice && n <= codec.NALIDR },
			func(nal []byte) bool { return codec.NALType(nal) == codec.NALIDR })
		left := 0
		for i, p := range all {
			p.Codec = packetbuf.H264
			var want []byte
			for rest := p.Payload; len(rest) > 0; {
				var nal []byte
				if nal, rest, _ = codec.NextNAL(rest, 4); codec.NALType(nal) != codec.NALDelimiter {
					want = codec.AppendNAL(want, nal)
				}
			}
			if p.Kind != packetbuf.Key && codec.AVCHasB(p.Payload) {
				left++
				want = nil
			}
			if got := back(t, p.Codec, payloadsOf(t, p, nil)); !bytes.Equal(got, want) {
				t.Errorf("%s: frame %d of %d, %v: want %d bytes, got %d", name, i, len(all), p.Kind, len(want), len(got))
			}
		}
		if len(all) != 25 || (left > 0) != (name == "B") {
			t.Errorf("%s: got %d frames, %d dropped", name, len(all), left)
		}
	}
}

func TestClipsOfHEVC(t *testing.T) {
	t.Parallel()
	kind := func(nal []byte) byte { return nal[0] >> 1 & 0x3f }
	all := splitFrames(film(t, "hevc", "-c:v libx265 -preset ultrafast -x265-params bframes=0:keyint=10:log-level=none"),
		func(nal []byte) bool { return kind(nal) < 32 }, func(nal []byte) bool { return kind(nal) >= 16 && kind(nal) < 24 })
	for i, p := range all {
		p.Codec = packetbuf.HEVC
		if got := back(t, p.Codec, payloadsOf(t, p, nil)); !bytes.Equal(got, p.Payload) {
			t.Errorf("frame %d of %d, %v: want %d bytes, got %d", i, len(all), p.Kind, len(p.Payload), len(got))
		}
	}
	if len(all) != 25 {
		t.Errorf("got %d frames", len(all))
	}
}

func TestClipsOfFrames(t *testing.T) {
	t.Parallel()
	for c, args := range map[packetbuf.Codec]string{
		packetbuf.VP8: "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M",
		packetbuf.VP9: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -lag-in-frames 0",
		packetbuf.AV1: "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 2M -lag-in-frames 0",
	} {
		stream := film(t, "ivf", args)
		count := 0
		var config *packetbuf.Packet
		for rest := stream[32:]; len(rest) > 12; count++ {
			n := int(binary.LittleEndian.Uint32(rest))
			p := &packetbuf.Packet{Codec: c, Kind: packetbuf.Delta, Payload: rest[12 : 12+n]}
			rest = rest[12+n:]
			if c == packetbuf.AV1 {
				header, bare, err := codec.AV1SequenceHeader(p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				p.Payload = bare // without delimiters
				if header != nil {
					p.Kind, config = packetbuf.Key, av1Config(t, header)
					checkSequenceHeader(t, p, header, config)
				}
			}
			if got := back(t, c, payloadsOf(t, p, config)); !bytes.Equal(got, p.Payload) {
				t.Errorf("%s: frame %d: want %d bytes, got %d", c, count, len(p.Payload), len(got))
			}
		}
		if count != 25 {
			t.Errorf("%s: got %d frames", c, count)
		}
	}
}

func av1Config(t *testing.T, header []byte) *packetbuf.Packet {
	t.Helper()
	record, err := codec.NewAV1Config(header)
	if err != nil {
		t.Fatal(err)
	}
	return &packetbuf.Packet{Codec: packetbuf.AV1, Kind: packetbuf.Config, Payload: record}
}

// checkSequenceHeader checks a keyframe whose sequence header is in the configuration alone.
func checkSequenceHeader(t *testing.T, p *packetbuf.Packet, header []byte, config *packetbuf.Packet) {
	t.Helper()
	bare := bytes.Replace(p.Payload, header, nil, 1)
	headless := &packetbuf.Packet{Codec: packetbuf.AV1, Kind: packetbuf.Key, Payload: bare}
	if got, want := back(t, packetbuf.AV1, payloadsOf(t, headless, config)), append(bytes.Clone(header), bare...); !bytes.Equal(got, want) {
		t.Errorf("got % x without its sequence header, want % x", head(got), head(want))
	}
}
