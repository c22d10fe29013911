package rendition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/ogg"
)

// tone is audio for a bridge: a sine at a frequency in Hz that is quiet, except for the second
// that begins at loud.
type tone struct {
	codec    packetbuf.Codec
	hz       int
	rate     int
	channels int
	loud     time.Duration
	length   time.Duration
}

func run(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "fatal"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: got %s", err, &stderr)
	}
	return out
}

// packets returns the packets of the tone, from start on the stream's clock.
func (o tone) packets(t *testing.T, start time.Duration) []*packetbuf.Packet {
	t.Helper()
	args := []string{
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=%d:duration=%f", o.hz, o.rate, o.length.Seconds()),
		"-af", fmt.Sprintf("volume='if(between(t,%f,%f),4,0.1)':eval=frame", o.loud.Seconds(), (o.loud + time.Second).Seconds()),
		"-ac", fmt.Sprint(o.channels),
	}
	var config []byte
	var frames [][]byte
	samples := 1024
	switch o.codec {
	case packetbuf.AAC:
		r := codec.NewADTSReader(bytes.NewReader(run(t, nil, append(args, "-c:a", "aac", "-b:a", "128k", "-f", "adts", "-")...)))
		for f, err := r.Next(); err == nil; f, err = r.Next() {
			frames, config = append(frames, f.Payload), f.Config.Append(nil)
		}
	case packetbuf.Opus:
		r := ogg.NewReader(bytes.NewReader(run(t, nil, append(args, "-c:a", "libopus", "-b:a", "96k", "-f", "ogg", "-")...)))
		for f, err := r.Next(); err == nil; f, err = r.Next() {
			frames, config = append(frames, f), r.Head().Append(nil)
		}
		samples = 960
	case packetbuf.MP3:
		all := run(t, nil, append(args, "-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3", "-")...)
		for len(all) > 0 {
			m, err := codec.ParseMP3(all)
			if err != nil || m.Length > len(all) {
				break
			}
			frames, all = append(frames, all[:m.Length]), all[m.Length:]
		}
		samples = 1152
	}
	var out []*packetbuf.Packet
	if config != nil {
		out = append(out, &packetbuf.Packet{Track: packetbuf.Audio, Codec: o.codec, Kind: packetbuf.Config, Payload: config})
	}
	for i, f := range frames {
		at := start + time.Duration(i*samples)*time.Second/time.Duration(o.rate)
		out = append(out, &packetbuf.Packet{Track: packetbuf.Audio, Codec: o.codec, Kind: packetbuf.Delta, DTS: at.Truncate(time.Millisecond), Payload: f})
	}
	return out
}

// heard is the audio as a player hears it, which takes the time of each packet from its DTS.
type heard struct {
	pcm    []int16 // 48 kHz, one channel
	dts    []time.Duration
	frame  int // samples of a packet
	config *packetbuf.Packet
}

func listen(t *testing.T, packets []*packetbuf.Packet) heard {
	t.Helper()
	var h heard
	var file []byte
	var format string
	var w *ogg.Writer
	var aac codec.AAC
	for _, p := range packets {
		var err error
		switch {
		case p.Kind == packetbuf.Config && h.config != nil:
			continue
		case p.Kind == packetbuf.Config && p.Codec == packetbuf.AAC:
			format, h.config, h.frame = "aac", p, 1024
			aac, err = codec.ParseAAC(p.Payload)
		case p.Kind == packetbuf.Config:
			format, h.config, h.frame = "ogg", p, 960
			var head codec.OpusHead
			head, err = codec.ParseOpusHead(p.Payload)
			head.PreSkip = 0
			w = ogg.NewWriter(head)
		case p.Codec == packetbuf.AAC:
			file, err = aac.AppendADTS(file, len(p.Payload))
			file = append(file, p.Payload...)
			h.dts = append(h.dts, p.DTS)
		case p.Codec == packetbuf.Opus:
			file, err = w.Append(file, p.Payload)
			h.dts = append(h.dts, p.DTS)
		default:
			format, h.frame = "mp3", 1152
			file = append(file, p.Payload...)
			h.dts = append(h.dts, p.DTS)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	pcm := run(t, file, "-f", format, "-i", "-", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
	h.pcm = make([]int16, len(pcm)/2)
	for i := range h.pcm {
		h.pcm[i] = int16(binary.LittleEndian.Uint16(pcm[2*i:])) //nolint:gosec // as it is
	}
	if aac.SampleRate != 0 {
		h.frame = h.frame * 48000 / aac.SampleRate
	}
	return h
}

// at returns the time at which a sample is heard.
func (h heard) at(index int) time.Duration {
	k := min(index/h.frame, len(h.dts)-1)
	return h.dts[k] + time.Duration(index-k*h.frame)*time.Second/48000
}

// loudFrom returns the times at which the audio becomes loud.
func (h heard) loudFrom() (out []time.Duration) {
	const window = 96 // 2 ms
	loud, quiet := slices.Max(h.pcm)/3, 100
	for i := 0; i+window <= len(h.pcm); i += window {
		if peak := slices.Max(h.pcm[i : i+window]); peak < loud {
			quiet++
			continue
		}
		if quiet > 20 {
			out = append(out, h.at(i))
		}
		quiet = 0
	}
	return out
}

// power returns the share of the audio's power at hz, from 0 to 1, in a part that begins at a
// sample.
func (h heard) power(hz float64, from int) float64 {
	part := h.pcm[from : from+24000]
	var s1, s2, all float64
	k := 2 * math.Cos(2*math.Pi*hz/48000)
	for _, v := range part {
		s := float64(v) + k*s1 - s2
		s1, s2 = s, s1
		all += float64(v) * float64(v)
	}
	return 2 * (s1*s1 + s2*s2 - k*s1*s2) / (float64(len(part)) * all)
}

// inStep compares the times at which transcoded audio becomes loud with those of its source.
func inStep(t *testing.T, of, made []time.Duration) {
	t.Helper()
	if len(of) != len(made) || len(of) == 0 {
		t.Errorf("loud at %v, bridged at %v", of, made)
		return
	}
	for i := range of {
		off := made[i] - of[i]
		t.Logf("loud at %v, bridged off by %v", of[i], off)
		if off < -10*time.Millisecond || off > 10*time.Millisecond {
			t.Errorf("loud at %v, bridged at %v", of[i], made[i])
		}
	}
}

const begin = 5*time.Hour + 300*time.Millisecond

func TestToneCrosses(t *testing.T) {
	needFFmpeg(t)
	for name, c := range map[string]struct {
		tone
		to       packetbuf.Codec
		channels int
	}{
		"AAC to Opus":           {tone{codec: packetbuf.AAC, hz: 440, rate: 48000, channels: 2}, packetbuf.Opus, 2},
		"AAC at 44.1 kHz, mono": {tone{codec: packetbuf.AAC, hz: 880, rate: 44100, channels: 1}, packetbuf.Opus, 1},
		"AAC of six channels":   {tone{codec: packetbuf.AAC, hz: 440, rate: 48000, channels: 6}, packetbuf.Opus, 2},
		"AAC at 32 kHz":         {tone{codec: packetbuf.AAC, hz: 440, rate: 32000, channels: 2}, packetbuf.Opus, 2},
		"MP3 to Opus":           {tone{codec: packetbuf.MP3, hz: 880, rate: 44100, channels: 2}, packetbuf.Opus, 2},
		"Opus to AAC":           {tone{codec: packetbuf.Opus, hz: 880, rate: 48000, channels: 2}, packetbuf.AAC, 2},
		"Opus to AAC, mono":     {tone{codec: packetbuf.Opus, hz: 440, rate: 48000, channels: 1}, packetbuf.AAC, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.loud, c.length = time.Second, 4*time.Second
			packets := c.packets(t, begin)
			of := listen(t, packets)
			if c.codec == packetbuf.MP3 {
				of.frame = 1152 * 48000 / c.rate
			}
			s := newStage(t, "")
			s.play(packets...)
			began := time.Now()
			s.Want(parent, c.to)
			s.until(begin)
			took := time.Since(began)
			s.until(begin + 3800*time.Millisecond)
			s.Close()
			made := listen(t, s.got())
			info, err := codec.Describe(made.config)
			if err != nil || info.Codec != c.to || info.Channels != c.channels || info.SampleRate != 48000 {
				t.Errorf("got %+v, %v", info, err)
			}
			if p := made.power(float64(c.hz), 60000); p < 0.9 {
				t.Errorf("got %d Hz has %.2f of the power", c.hz, p)
			}
			inStep(t, of.loudFrom(), made.loudFrom())
			if first := made.dts[0]; first < begin-40*time.Millisecond || first > begin+20*time.Millisecond {
				t.Errorf("begins at %v", first)
			}
			t.Logf("began after %v", took)
		})
	}
}

// Each part of a source with gaps is heard at its own time.
func TestGapsDoNotShiftWhatFollows(t *testing.T) {
	needFFmpeg(t)
	for _, from := range []packetbuf.Codec{packetbuf.AAC, packetbuf.Opus} {
		t.Run(from.String(), func(t *testing.T) {
			t.Parallel()
			o := tone{codec: from, hz: 440, rate: 48000, channels: 2, loud: time.Second, length: 4 * time.Second}
			first := o.packets(t, begin)
			first = slices.Delete(first, 10, 11) // one was lost
			second := o.packets(t, begin+10*time.Second)
			s := newStage(t, "")
			s.play(first...)
			s.Want(parent, bridged(from))
			s.until(begin + 3800*time.Millisecond)
			s.play(second...)
			s.until(begin + 13800*time.Millisecond)
			s.Close()
			of := append(listen(t, o.packets(t, begin)).loudFrom(), listen(t, second).loudFrom()...)
			inStep(t, of, listen(t, s.got()).loudFrom())
		})
	}
}

// A frame that cannot be decoded affects only itself.
func TestBadFrames(t *testing.T) {
	needFFmpeg(t)
	for _, from := range []packetbuf.Codec{packetbuf.AAC, packetbuf.Opus, packetbuf.MP3} {
		t.Run(from.String(), func(t *testing.T) {
			t.Parallel()
			o := tone{codec: from, hz: 440, rate: 48000, channels: 2, loud: 3 * time.Second, length: 5 * time.Second}
			packets := o.packets(t, begin)
			of := listen(t, packets).loudFrom()
			for i := 20; i < 90; i += 7 {
				bad := packets[i] // not shared
				switch i % 3 {
				case 0:
					bad.Payload = bytes.Repeat([]byte{0xff}, 5000)
				case 1:
					bad.Payload = nil
				case 2:
					bad.Payload = append(slices.Clone(bad.Payload[:8]), bytes.Repeat([]byte{0x5a}, 300)...)
				}
			}
			s := newStage(t, "")
			s.play(packets...)
			s.Want(parent, bridged(from))
			s.until(begin + 4800*time.Millisecond)
			s.Close()
			made := listen(t, s.got()).loudFrom()
			inStep(t, of, made[max(0, len(made)-1):])
			if n := s.Counts(); n.Failures > 0 {
				t.Errorf("got %+v", n)
			}
		})
	}
}

func TestAKilledProgramIsReplaced(t *testing.T) {
	needFFmpeg(t)
	o := tone{codec: packetbuf.AAC, hz: 440, rate: 48000, channels: 2, loud: 3 * time.Second, length: 5 * time.Second}
	packets := o.packets(t, begin)
	s := newStage(t, "")
	var first *running
	s.launch = func(program string, args []string) (*running, error) {
		r, err := launch(program, args, 0)
		if first == nil {
			first = r
		}
		return r, err
	}
	s.play(packets[:120]...)
	s.Want(parent, packetbuf.Opus)
	s.until(begin + 2400*time.Millisecond)
	first.kill()
	s.play(packets[120:]...)
	s.until(begin + 4800*time.Millisecond)
	if c := s.Counts(); c.Restarts != 1 || c.Failures != 1 || c.Running != 1 {
		t.Errorf("got %+v", c)
	}
	s.Close()
	inStep(t, listen(t, packets).loudFrom(), listen(t, s.got()).loudFrom())
	if !strings.Contains(s.said(), "bridge failed") {
		t.Error(s.said())
	}
}
