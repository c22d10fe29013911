package whip

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// ffmpeg runs ffmpeg. Without ffmpeg it skips the test, but fails it in CI.
func ffmpeg(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is missing")
		}
		t.Skip("ffmpeg is missing")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, append([]string{"-v", "error", "-nostdin"}, args...)...)
	if in != nil {
		cmd.Args = append(cmd.Args[:3:3], args...) // it reads
		cmd.Stdin = bytes.NewReader(in)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

// clip is a short video in one codec: 640x360 unless said otherwise, with every tenth frame a keyframe.
type clip struct {
	codec  packetbuf.Codec
	raw    []byte   // as ffmpeg wrote it
	muxer  string   // of raw
	units  [][]byte // as packets of the relay have them
	coded  [][]byte // as payloaders take them
	keys   []bool
	box    string // the one with the configuration in an MP4
	record []byte // content of the box
}

var clipArgs = map[string]struct {
	codec      packetbuf.Codec
	muxer, box string
	args       string
}{
	"h264":         {packetbuf.H264, "h264", "avcC", "-c:v libx264 -preset ultrafast -profile:v baseline -bf 0"},
	"h264 slices":  {packetbuf.H264, "h264", "avcC", "-c:v libx264 -preset ultrafast -tune zerolatency -x264-params slices=4:repeat-headers=1:keyint=10"},
	"h264 high":    {packetbuf.H264, "h264", "avcC", "-c:v libx264 -preset veryfast -profile:v high -bf 0 -aud 1"},
	"hevc":         {packetbuf.HEVC, "hevc", "hvcC", "-c:v libx265 -preset ultrafast -x265-params bframes=0:keyint=10:min-keyint=10:log-level=none:repeat-headers=1"},
	"hevc slices":  {packetbuf.HEVC, "hevc", "hvcC", "-c:v libx265 -preset ultrafast -x265-params slices=4:bframes=0:keyint=10:min-keyint=10:log-level=none:repeat-headers=1"},
	"hevc 10 bits": {packetbuf.HEVC, "hevc", "hvcC", "-c:v libx265 -preset ultrafast -pix_fmt yuv422p10le -x265-params bframes=0:keyint=10:min-keyint=10:log-level=none:repeat-headers=1"},
	"vp8":          {packetbuf.VP8, "ivf", "", "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 1M"},
	"vp9":          {packetbuf.VP9, "ivf", "vpcC", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -lag-in-frames 0"},
	"vp9 4:4:4":    {packetbuf.VP9, "ivf", "vpcC", "-pix_fmt yuv444p -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -lag-in-frames 0"},
	"vp9 10 bits":  {packetbuf.VP9, "ivf", "vpcC", "-pix_fmt yuv420p10le -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M -lag-in-frames 0"},
	"av1":          {packetbuf.AV1, "ivf", "av1C", "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 1M -lag-in-frames 0"},
	"av1 svt":      {packetbuf.AV1, "ivf", "av1C", "-pix_fmt yuv420p10le -c:v libsvtav1 -preset 12 -svtav1-params pred-struct=1:lookahead=0"},
}

var clips struct {
	sync.Mutex
	made map[string]*clip
}

// clipOf returns a clip, which it makes once.
func clipOf(t testing.TB, name string) *clip {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	if c := clips.made[name]; c != nil {
		return c
	}
	a := clipArgs[name]
	args := append(strings.Fields("-f lavfi -i testsrc2=size=640x360:rate=30 -frames:v 40 -pix_fmt yuv420p -threads 2"), strings.Fields(a.args)...)
	c := &clip{codec: a.codec, muxer: a.muxer, box: a.box}
	c.raw = ffmpeg(t, nil, append(args, "-g", "10", "-f", a.muxer, "-")...)
	switch c.codec {
	case packetbuf.H264, packetbuf.HEVC:
		c.splitNALs()
	default:
		c.splitIVF(t)
	}
	if len(c.units) < 30 {
		t.Fatalf("%s: got %d access units", name, len(c.units))
	}
	if a.box != "" {
		c.record = box(t, ffmpeg(t, c.raw, "-f", a.muxer, "-i", "-", "-c", "copy", "-movflags", "empty_moov+frag_keyframe", "-f", "mp4", "-"), a.box)
	}
	if clips.made == nil {
		clips.made = map[string]*clip{}
	}
	clips.made[name] = c
	return c
}

// splitNALs cuts a byte stream into access units.
func (c *clip) splitNALs() {
	hevc := c.codec == packetbuf.HEVC
	var unit, coded []byte
	pictures, key := false, false
	flush := func() {
		if pictures {
			c.units, c.coded, c.keys = append(c.units, unit), append(c.coded, coded), append(c.keys, key)
			unit, coded, pictures, key = nil, nil, false, false
		}
	}
	for rest := codec.AppendAnnexB(nil, c.raw); len(rest) > 0; {
		var nal []byte
		nal, rest, _ = codec.NextNAL(rest, 4)
		var slice, delimiter bool
		if hevc {
			t := int(nal[0] >> 1 & 0x3f)
			slice, delimiter = t < 32, t == 35
			if t >= 32 && t != 40 || slice && nal[2]&0x80 != 0 {
				flush()
			}
			key = key || t >= 16 && t <= 21
		} else {
			t := int(nal[0] & 0x1f)
			slice, delimiter = t >= 1 && t <= 5, t == 9
			if !slice || nal[1]&0x80 != 0 {
				flush()
			}
			key = key || t == 5
		}
		pictures = pictures || slice
		coded = append(append(coded, 0, 0, 0, 1), nal...)
		if !delimiter { // which payloaders leave out
			unit = codec.AppendNAL(unit, nal)
		}
	}
	flush()
}

// splitIVF reads the frames of an IVF.
func (c *clip) splitIVF(t testing.TB) {
	for rest := c.raw[32:]; len(rest) > 12; {
		n := int(binary.LittleEndian.Uint32(rest))
		frame := rest[12 : 12+n]
		rest = rest[12+n:]
		unit, key := frame, frame[0]&1 == 0
		switch c.codec {
		case packetbuf.VP9:
			key = frame[0]&4 == 0 && frame[0]>>6 == 2 // good for profiles 0 to 2
		case packetbuf.AV1:
			header, bare, err := codec.AV1SequenceHeader(frame)
			if err != nil {
				t.Fatal(err)
			}
			unit, key = bare, header != nil
		}
		c.units, c.coded, c.keys = append(c.units, unit), append(c.coded, frame), append(c.keys, key)
	}
}

// box returns the content of the first box of a kind.
func box(t testing.TB, mp4 []byte, kind string) []byte {
	t.Helper()
	at := bytes.Index(mp4, []byte(kind))
	if at < 4 {
		t.Fatalf("got no box %s", kind)
	}
	return mp4[at+4 : at-4+int(binary.BigEndian.Uint32(mp4[at-4:]))]
}

// payloaders returns the payloaders of a codec, by name.
func payloaders(of packetbuf.Codec) map[string]func() rtp.Payloader {
	switch of {
	case packetbuf.H264:
		return map[string]func() rtp.Payloader{
			"aggregated": func() rtp.Payloader { return &codecs.H264Payloader{} },
			"single":     func() rtp.Payloader { return &codecs.H264Payloader{DisableStapA: true} },
		}
	case packetbuf.HEVC:
		return map[string]func() rtp.Payloader{
			"aggregated": func() rtp.Payloader { return &codecs.H265Payloader{} },
			"single":     func() rtp.Payloader { return &codecs.H265Payloader{SkipAggregation: true} },
		}
	case packetbuf.VP8:
		return map[string]func() rtp.Payloader{
			"plain":      func() rtp.Payloader { return &codecs.VP8Payloader{} },
			"picture id": func() rtp.Payloader { return &codecs.VP8Payloader{EnablePictureID: true} },
		}
	case packetbuf.VP9:
		return map[string]func() rtp.Payloader{
			"flexible":     func() rtp.Payloader { return &codecs.VP9Payloader{FlexibleMode: true} },
			"not flexible": func() rtp.Payloader { return &codecs.VP9Payloader{} },
		}
	}
	return map[string]func() rtp.Payloader{"plain": func() rtp.Payloader { return &codecs.AV1Payloader{} }}
}

// packets returns the clip as RTP packets, 3000 timestamps per frame.
func (c *clip) packets(p rtp.Payloader, mtu uint16) (out []*rtp.Packet) {
	seq := uint16(65000) // it wraps
	for i, unit := range c.coded {
		payloads := p.Payload(mtu, unit)
		for j, payload := range payloads {
			out = append(out, &rtp.Packet{Header: rtp.Header{
				Version: 2, SequenceNumber: seq, Timestamp: uint32(i) * 3000, Marker: j == len(payloads)-1,
			}, Payload: payload})
			seq++
		}
	}
	return out
}
