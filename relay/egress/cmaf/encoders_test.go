package cmaf

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Output of real encoders survives chunking: ffmpeg decodes the same frames from source and
// chunks, without a message.
func TestEncoders(t *testing.T) {
	const pictures, sound = "testsrc2=size=320x180:rate=25:duration=2", "sine=frequency=440:duration=2"
	for name, tt := range map[string]struct {
		codec packetbuf.Codec
		box   string // box that configures the decoder; empty if frames do
		args  []string
		names string // prefix of the RFC 6381 name
	}{
		"HEVC": {packetbuf.HEVC, "hvcC", []string{"-i", pictures, "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=none:bframes=2:keyint=20"}, "hvc1.1.6.L"},
		"AV1":  {packetbuf.AV1, "av1C", []string{"-i", pictures, "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "20"}, "av01.0."},
		"VP9":  {packetbuf.VP9, "vpcC", []string{"-i", pictures, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "20"}, "vp09.00."},
		"Opus": {packetbuf.Opus, "dOps", []string{"-i", sound, "-c:a", "libopus"}, "opus"},
		"AC-3": {packetbuf.AC3, "", []string{"-i", sound, "-c:a", "ac3"}, "ac-3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoder := tt.args[slices.IndexFunc(tt.args, func(a string) bool { return strings.HasPrefix(a, "-c:") })+1]
			if has, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "quiet", "-encoders").Output(); err != nil || !bytes.Contains(has, []byte(" "+encoder+" ")) {
				t.Skip("needs ffmpeg with " + encoder)
			}
			dir := t.TempDir()
			source, cut := filepath.Join(dir, "source.mp4"), filepath.Join(dir, "cut.mp4")
			args := slices.Concat([]string{"-v", "error", "-f", "lavfi"}, tt.args, []string{"-movflags", "frag_keyframe+empty_moov+delay_moov+default_base_moof", source})
			if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			chunks := cutAll(t, demux(t, source, tt.codec, tt.box))
			var file []byte
			for _, c := range chunks {
				file = append(file, c.Data...)
			}
			if err := os.WriteFile(cut, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := chunks[0].Info.Codecs; !strings.HasPrefix(got, tt.names) {
				t.Errorf("got codec string %s", got)
			}
			kind := tt.args[slices.Index(tt.args, encoder)-1][len("-c:"):]
			want, got := hashes(t, source, kind), hashes(t, cut, kind)
			if len(want) < 50 || !slices.Equal(want, got) {
				t.Errorf("got %d decoded frames, want the %d of the source", len(got), len(want))
			}
		})
	}
}

// demux reads the only track of a fragmented file.
func demux(t *testing.T, path string, codec packetbuf.Codec, config string) (out []*packetbuf.Packet) {
	t.Helper()
	file, err := os.ReadFile(path) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	track := packetbuf.Video
	scale := int64(binary.BigEndian.Uint32(file[bytes.Index(file, []byte("mdhd"))+16:])) // of version 0
	if codec == packetbuf.Opus || codec == packetbuf.AC3 {
		track = packetbuf.Audio
	}
	if config != "" {
		at := bytes.Index(file, []byte(config))
		record := file[at+4 : at-4+int(binary.BigEndian.Uint32(file[at-4:]))]
		if codec == packetbuf.Opus {
			record = opusHead(record)
		}
		out = append(out, &packetbuf.Packet{Track: track, Codec: codec, Kind: packetbuf.Config, Payload: record})
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(file[bytes.Index(file, []byte("moof"))-4:]); err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		at := int64(part.Tracks[0].BaseTime)
		for i, s := range part.Tracks[0].Samples {
			p := &packetbuf.Packet{Track: track, Codec: codec, Kind: packetbuf.Key, Payload: s.Payload}
			if track == packetbuf.Video && i > 0 { // a fragment begins with a keyframe
				p.Kind = packetbuf.Delta
			}
			p.DTS = time.Duration(at*1000/scale) * time.Millisecond
			p.CTO = time.Duration(int64(s.PTSOffset)*1000/scale) * time.Millisecond
			out = append(out, p)
			at += int64(s.Duration)
		}
	}
	return out
}

// opusHead returns the identification header (RFC 7845, 5.1) with the values of a dOps.
func opusHead(dops []byte) []byte {
	b := append([]byte("OpusHead\x01"), dops[1])
	b = binary.LittleEndian.AppendUint16(b, binary.BigEndian.Uint16(dops[2:]))
	b = binary.LittleEndian.AppendUint32(b, binary.BigEndian.Uint32(dops[4:]))
	b = binary.LittleEndian.AppendUint16(b, binary.BigEndian.Uint16(dops[8:]))
	return append(b, dops[10:]...)
}
