package codec

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

var aacSamples = []struct {
	name, config string
	want         AAC
	rate, ch, n  int
	profile, rfc string
	once         bool // Append writes it differently
}{
	{"LC 44.1 stereo", "1210", AAC{ObjectType: 2, SampleRate: 44100, Channels: 2, FrameSamples: 1024}, 44100, 2, 1024, "LC", "mp4a.40.2", false},
	{"LC 48 stereo", "1190", AAC{ObjectType: 2, SampleRate: 48000, Channels: 2, FrameSamples: 1024}, 48000, 2, 1024, "LC", "mp4a.40.2", false},
	{"LC 48 mono", "1188", AAC{ObjectType: 2, SampleRate: 48000, Channels: 1, FrameSamples: 1024}, 48000, 1, 1024, "LC", "mp4a.40.2", false},
	{"LC 48 mono, 960", "118c", AAC{ObjectType: 2, SampleRate: 48000, Channels: 1, FrameSamples: 960}, 48000, 1, 960, "LC", "mp4a.40.2", false},
	{"LC 5.1", "11b0", AAC{ObjectType: 2, SampleRate: 48000, Channels: 6, FrameSamples: 1024}, 48000, 6, 1024, "LC", "mp4a.40.2", false},
	{"LC 7.1", "11b8", AAC{ObjectType: 2, SampleRate: 48000, Channels: 8, FrameSamples: 1024}, 48000, 8, 1024, "LC", "mp4a.40.2", false},
	{"LC with SBR sync of ffmpeg, no SBR", "119056e500", AAC{ObjectType: 2, SampleRate: 48000, Channels: 2, FrameSamples: 1024}, 48000, 2, 1024, "LC", "mp4a.40.2", true},
	{"HE explicit", "2b118800", AAC{ObjectType: 2, SampleRate: 24000, Channels: 2, SBR: true, ExtensionRate: 48000, FrameSamples: 1024}, 48000, 2, 2048, "HE-AAC", "mp4a.40.5", true},
	{"HE compatible", "131056e598", AAC{ObjectType: 2, SampleRate: 24000, Channels: 2, SBR: true, ExtensionRate: 48000, FrameSamples: 1024}, 48000, 2, 2048, "HE-AAC", "mp4a.40.5", true},
	{"HEv2 explicit", "eb098800", AAC{ObjectType: 2, SampleRate: 24000, Channels: 1, SBR: true, PS: true, ExtensionRate: 48000, FrameSamples: 1024}, 48000, 2, 2048, "HE-AACv2", "mp4a.40.29", true},
	{"HEv2 compatible", "130856e59d4880", AAC{ObjectType: 2, SampleRate: 24000, Channels: 1, SBR: true, PS: true, ExtensionRate: 48000, FrameSamples: 1024}, 48000, 2, 2048, "HE-AACv2", "mp4a.40.29", true},
	{"own rate", "1780378410", AAC{ObjectType: 2, SampleRate: 28424, Channels: 2, FrameSamples: 1024}, 28424, 2, 1024, "LC", "mp4a.40.2", false},
}

func TestAAC(t *testing.T) {
	for _, c := range aacSamples {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.config)
			got, err := ParseAAC(b)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Fatalf("got  %+v\nwant %+v", got, c.want)
			}
			if got.OutputRate() != c.rate || got.OutputChannels() != c.ch || got.SamplesPerFrame() != c.n {
				t.Errorf("got %d Hz, %d channels, %d samples, want %d, %d, %d", got.OutputRate(), got.OutputChannels(), got.SamplesPerFrame(), c.rate, c.ch, c.n)
			}
			back := got.Append(nil)
			if !c.once && !bytes.Equal(back, b) {
				t.Errorf("written back: got %x, want %x", back, b)
			}
			if again, err := ParseAAC(back); err != nil || again != got {
				t.Errorf("read again: got %+v, %v, want %+v", again, err, got)
			}
			p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Payload: b}
			if i, err := Describe(p); err != nil || i.Profile != c.profile || i.RFC6381 != c.rfc || i.SampleRate != c.rate || i.Channels != c.ch {
				t.Errorf("describe: got %+v, %v, want %s, %s, %d Hz, %d channels", i, err, c.profile, c.rfc, c.rate, c.ch)
			}
			if n, rate := AudioFrameDuration(p); n != c.n || rate != c.rate {
				t.Errorf("frame duration: got %d/%d s, want %d/%d s", n, rate, c.n, c.rate)
			}
		})
	}
	for _, bad := range []string{"", "12", "1780", "1278", "2b11", "0000", "16d0"} {
		if c, err := ParseAAC(unhex(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", bad, c, err)
		}
	}
}

func FuzzAAC(f *testing.F) {
	for _, c := range aacSamples {
		f.Add(unhex(f, c.config))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseAAC(b)
		if err != nil {
			return
		}
		if c.OutputRate() <= 0 || c.SamplesPerFrame() <= 0 {
			t.Fatalf("got %+v, want a positive rate and frame size", c)
		}
		if c.ObjectType > 4 || c.Channels == 0 {
			return
		}
		if again, err := ParseAAC(c.Append(nil)); err != nil || again != c {
			t.Fatalf("got %+v, %v\nwant %+v", again, err, c)
		}
	})
}

var mp3Samples = []struct {
	header string
	want   MP3
}{
	{"fffb9464", MP3{48000, 1152, 2, 128000, 384, 3}},
	{"fffb9064", MP3{44100, 1152, 2, 128000, 417, 3}},
	{"fffb92c0", MP3{44100, 1152, 1, 128000, 418, 3}},
	{"fff384c0", MP3{24000, 576, 1, 64000, 192, 3}},
	{"ffe318c0", MP3{8000, 576, 1, 8000, 72, 3}},
	{"fffd8404", MP3{48000, 1152, 2, 128000, 384, 2}},
	{"ffff8404", MP3{48000, 384, 2, 256000, 256, 1}},
	{"fffb0064", MP3{44100, 1152, 2, 0, 0, 3}},
}

func TestMP3(t *testing.T) {
	for _, c := range mp3Samples {
		b := unhex(t, c.header)
		if got, err := ParseMP3(b); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.header, got, err, c.want)
		}
		p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.MP3, Kind: packetbuf.Delta, Payload: b}
		if n, rate := AudioFrameDuration(p); n != c.want.Samples || rate != c.want.SampleRate {
			t.Errorf("%s: got a frame of %d/%d s, want %d/%d s", c.header, n, rate, c.want.Samples, c.want.SampleRate)
		}
	}
	for _, bad := range []string{"", "fffb94", "fefb9464", "ffeb9464", "fff99464", "fffbf464", "fffb9c64"} {
		if m, err := ParseMP3(unhex(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", bad, m, err)
		}
	}
}

func FuzzMP3(f *testing.F) {
	for _, c := range mp3Samples {
		f.Add(unhex(f, c.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMP3(b)
		if err == nil && (m.SampleRate <= 0 || m.Samples <= 0 || m.Length < 0 || m.Length > 1<<13) {
			t.Fatalf("got %+v, want values in range", m)
		}
	})
}

func TestOpus(t *testing.T) {
	for in, want := range map[string]int{
		"f8fffe": 960, "fcfffe": 960, "08": 960, "00": 480, "18": 2880, "60": 480, "68": 960,
		"80": 120, "81": 240, "8302": 240, "fb06": 5760,
	} {
		if got, err := OpusSamples(unhex(t, in)); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "fb", "fb00", "fb07", "1b03"} {
		if n, err := OpusSamples(unhex(t, bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %d, %v, want ErrMalformed", bad, n, err)
		}
	}
	if OpusChannels(unhex(t, "fcfffe")) != 2 || OpusChannels(unhex(t, "f8fffe")) != 1 {
		t.Error("got wrong channels, want 2 and 1")
	}
}

func FuzzOpus(f *testing.F) {
	f.Add([]byte{0xfb, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := OpusSamples(b); err == nil && (n < 120 || n > 5760) {
			t.Fatalf("got %d samples, want 120 to 5760", n)
		}
	})
}

func TestDescribe(t *testing.T) {
	opus := append([]byte("OpusHead\x01\x02"), make([]byte, 9)...)
	for _, c := range []struct {
		p    *packetbuf.Packet
		want Info
	}{
		{
			&packetbuf.Packet{Codec: packetbuf.HEVC, Payload: unhex(t, "0101600000009000000000003ff000fcfdf8f800000f04a0000100184001")},
			Info{Codec: packetbuf.HEVC, Level: "2.1", RFC6381: "hvc1.1.6.L63.90"},
		},
		{
			&packetbuf.Packet{Codec: packetbuf.AV1, Payload: unhex(t, "81010c000a0b0000000cc4ff6736be4010")},
			Info{Codec: packetbuf.AV1, Level: "2.1", RFC6381: "av01.0.01M.08", Width: 640, Height: 360},
		},
		{&packetbuf.Packet{Codec: packetbuf.Opus, Payload: opus}, Info{Codec: packetbuf.Opus, RFC6381: "opus", SampleRate: 48000, Channels: 2}},
		{
			&packetbuf.Packet{Codec: packetbuf.FLAC, Payload: unhex(t, flacHead)},
			Info{Codec: packetbuf.FLAC, RFC6381: "fLaC", SampleRate: 44100, Channels: 2},
		},
		{
			&packetbuf.Packet{Codec: packetbuf.MP3, Kind: packetbuf.Delta, Payload: unhex(t, "fffb9464")},
			Info{Codec: packetbuf.MP3, Profile: "Layer III", RFC6381: "mp4a.40.34", SampleRate: 48000, Channels: 2},
		},
	} {
		if got, err := Describe(c.p); err != nil || got != c.want {
			t.Errorf("got  %+v, %v\nwant %+v", got, err, c.want)
		}
	}
	for _, c := range []packetbuf.Codec{packetbuf.H264, packetbuf.HEVC, packetbuf.AV1, packetbuf.AAC, packetbuf.Opus, packetbuf.FLAC} {
		for _, k := range []packetbuf.Kind{packetbuf.Config, packetbuf.Key} {
			if i, err := Describe(&packetbuf.Packet{Codec: c, Kind: k, Payload: []byte{1}}); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s %s: got %+v, %v, want ErrMalformed", c, k, i, err)
			}
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add(uint8(packetbuf.HEVC), unhex(f, "01016000000090000000000078f000fcfdf8f800000f03200001"))
	f.Add(uint8(packetbuf.AV1), unhex(f, "81040c00"))
	f.Add(uint8(packetbuf.Opus), []byte("OpusHead\x01\x02123456789"))
	f.Fuzz(func(_ *testing.T, c uint8, b []byte) {
		for _, k := range []packetbuf.Kind{packetbuf.Config, packetbuf.Delta} {
			p := &packetbuf.Packet{Codec: packetbuf.Codec(c), Kind: k, Payload: b}
			_, _ = Describe(p)
			AudioFrameDuration(p)
			Silence(p)
		}
	})
}

func TestSilenceSupport(t *testing.T) {
	for config, ok := range map[string]bool{
		"1210": true, "1190": true, "1188": true, "1208": true, "11b0": true, "1290": true,
		"11b8": true, "11d8": true, "11e0": true, // 7.1, 6.1, 7.1 with rear channels
		"118c": false, "2b118800": false, "1180": false, "": false, "0990": false, "11c0": false, "11e8": false, "11f0": false,
	} {
		p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Payload: unhex(t, config)}
		if _, got := Silence(p); got != ok {
			t.Errorf("%s: got %v, want %v", config, got, ok)
		}
	}
	for head, samples := range map[string]int{
		opusHeadMono: 960, opusHeadStereo: 960, opusHeadMono[:30]: 0, opusHead51: 0,
	} {
		p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Opus, Payload: unhex(t, head)}
		frame, ok := Silence(p)
		n, rate := AudioFrameDuration(p)
		if ok != (samples > 0) || n != samples || ok && rate != OpusRate {
			t.Errorf("%s: got %v, %d samples at %d Hz, want %d samples", head, ok, n, rate, samples)
		}
		if got, _ := OpusSamples(frame); got != samples || ok && OpusChannels(frame) != int(unhex(t, head)[9]) {
			t.Errorf("%s: got silence of %d samples, want %d", head, got, samples)
		}
	}
	if _, ok := Silence(nil); ok {
		t.Error("got silence without a configuration, want none")
	}
}

// TestSilenceDecodesToZeros decodes a tone followed by silence with ffmpeg and checks the samples.
func TestSilenceDecodesToZeros(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	for _, c := range []AAC{
		{ObjectType: AACLC, SampleRate: 44100, Channels: 1, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 44100, Channels: 2, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 48000, Channels: 1, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 48000, Channels: 2, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 32000, Channels: 2, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 22050, Channels: 1, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 48000, Channels: 3, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 44100, Channels: 4, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 48000, Channels: 5, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 48000, Channels: 6, FrameSamples: 1024},
		{ObjectType: AACLC, SampleRate: 48000, Channels: 8, FrameSamples: 1024},
	} {
		t.Run(hex.EncodeToString(c.Append(nil)), func(t *testing.T) {
			tone := ffmpeg(t, nil, "-f", "lavfi", "-i", fmt.Sprintf("sine=r=%d", c.SampleRate), "-t", "0.3",
				"-ac", fmt.Sprint(c.Channels), "-c:a", "aac", "-f", "adts", "-")
			frame, ok := Silence(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Payload: c.Append(nil)})
			if !ok {
				t.Fatal("got no silent frame")
			}
			const frames = 20
			stream := tone
			for range frames {
				header, err := c.AppendADTS(stream, len(frame))
				if err != nil {
					t.Fatal(err)
				}
				stream = append(header, frame...)
			}
			pcm := ffmpeg(t, stream, "-f", "aac", "-i", "-", "-f", "s16le", "-")
			silent := (frames - 1) * 1024 * c.Channels * 2
			if len(pcm) < silent {
				t.Fatalf("got %d bytes of samples, want at least %d", len(pcm), silent)
			}
			head, tail := pcm[:len(pcm)-silent], pcm[len(pcm)-silent:]
			if len(bytes.Trim(tail, "\x00")) != 0 {
				t.Error("got samples other than 0 from the second silent frame on")
			}
			if len(bytes.Trim(head, "\x00")) == 0 {
				t.Error("got only zeros, want the tone before the silence")
			}
		})
	}
}

func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ffmpeg", append([]string{"-v", "error", "-xerror"}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
	return out
}
