package repair_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// encodeAAC encodes a tone. It returns the configuration and the frames, with timestamps in milliseconds.
func encodeAAC(t *testing.T, rate, channels int) []*packetbuf.Packet {
	t.Helper()
	file := ffmpeg(t, "-f", "lavfi", "-i", fmt.Sprintf("sine=r=%d", rate), "-ac", fmt.Sprint(channels), "-t", "2", "-c:a", "aac", "-f", "adts", "-")
	config := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config}
	packets := []*packetbuf.Packet{config}
	for r := codec.NewADTSReader(bytes.NewReader(file)); ; {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		config.Payload = f.Config.Append(nil)
		at := time.Duration(len(packets)-1) * 1024 * time.Second / time.Duration(rate)
		packets = append(packets, &packetbuf.Packet{
			Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Delta, DTS: at.Truncate(time.Millisecond), Payload: f.Payload,
		})
	}
}

// withADTS returns a frame with an ADTS header.
func withADTS(t *testing.T, config, p *packetbuf.Packet) []byte {
	t.Helper()
	c, err := codec.ParseAAC(config.Payload)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.AppendADTS(nil, len(p.Payload))
	if err != nil {
		t.Fatal(err)
	}
	return append(b, p.Payload...)
}

// AAC without a sequence header, or with ADTS headers, is passed on raw after a configuration.
func TestAudio(t *testing.T) {
	for _, rate := range []int{48000, 44100, 32000, 22050, 8000} {
		for _, channels := range []int{1, 2} {
			clip := encodeAAC(t, rate, channels)
			config, frames := clip[0], clip[1:]
			for name, c := range map[string]struct {
				send   func(i int, p *packetbuf.Packet) []message
				lost   int // most frames that may be missing
				reason string
			}{
				"ADTS alone": {func(_ int, p *packetbuf.Packet) []message {
					return []message{{packet: withPayload(p, withADTS(t, config, p))}}
				}, 0, "adts"},
				"ADTS behind a sequence header": {func(i int, p *packetbuf.Packet) []message {
					out := []message{{packet: withPayload(p, withADTS(t, config, p))}}
					if i == 0 {
						out = append([]message{{packet: config}}, out...)
					}
					return out
				}, 0, "adts"},
				"an ADTS header as the sequence header": {func(i int, p *packetbuf.Packet) []message {
					out := []message{{packet: p}}
					if i == 0 {
						out = append([]message{{packet: withPayload(config, withADTS(t, config, p)[:7])}}, out...)
					}
					return out
				}, 0, "adts"},
				"two ADTS frames a message": {func(i int, p *packetbuf.Packet) []message {
					if i%2 == 1 || i+1 == len(frames) {
						return nil
					}
					return []message{{packet: withPayload(p, append(withADTS(t, config, p), withADTS(t, config, frames[i+1])...))}}
				}, 1, "adts"},
				"raw without a sequence header": {func(_ int, p *packetbuf.Packet) []message {
					return []message{{packet: p}}
				}, 24, "no_config"},
			} {
				t.Run(fmt.Sprint(name, ", ", rate, " Hz, ", channels), func(t *testing.T) {
					var messages []message
					for i, p := range frames {
						messages = append(messages, c.send(i, p)...)
					}
					got, repairs := takeAll(t, messages)
					if repairs[c.reason] == 0 {
						t.Errorf("got repairs %v, want %q", repairs, c.reason)
					}
					checkAudioFrames(t, got, config, frames, c.lost)
				})
			}
		}
	}
}

func checkAudioFrames(t *testing.T, got []*packetbuf.Packet, config *packetbuf.Packet, want []*packetbuf.Packet, lost int) {
	t.Helper()
	if len(got) == 0 || got[0].Kind != packetbuf.Config || !bytes.Equal(got[0].Payload, config.Payload) {
		t.Fatalf("got %v first, want the configuration %x", got, config.Payload)
	}
	got = got[1:]
	if missing := len(want) - len(got); missing < 0 || missing > lost {
		t.Fatalf("got %d frames, want %d, at most %d missing", len(got), len(want), lost)
	}
	if lost > 1 { // the missing frames are at the beginning
		want = want[len(want)-len(got):]
	}
	for i, p := range got {
		if d := p.DTS - want[i].DTS; !bytes.Equal(p.Payload, want[i].Payload) || d < -time.Millisecond || d > time.Millisecond {
			t.Fatalf("frame %d: got %d bytes at %v, want %d at %v", i, len(p.Payload), p.DTS, len(want[i].Payload), want[i].DTS)
		}
	}
}

// A packet of Opus contains what a decoder needs to know.
func TestOpusWithoutConfiguration(t *testing.T) {
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Delta, Payload: []byte{0xfc, 0xff, 0xfe}}
	got, repairs := takeAll(t, []message{{packet: p}})
	if len(got) != 2 || repairs["no_config"] != 1 {
		t.Fatalf("got %v, repairs %v, want a configuration and the frame", got, repairs)
	}
	if info, err := codec.Describe(got[0]); err != nil || info.Channels != 2 {
		t.Errorf("got %d channels, %v, want 2", info.Channels, err)
	}
}

// FuzzIntake checks for any messages that the size of the output and of what is held is bounded by
// the size of the input.
func FuzzIntake(f *testing.F) {
	f.Add([]byte{9, 0x17, 1, 0, 0, 0, 0, 0, 0, 2, 0x65, 0x88}, uint8(3))
	f.Add([]byte("\x09\x17\x00\x00\x00\x00\x01\x64\x00\x1f\xff\xe0\x00\x09\x27\x01\x00\x00\x00\x00\x00\x00\x01\x67\x64"), uint8(13))
	f.Add([]byte{8, 0xaf, 1, 0xff, 0xf1, 0x4c, 0x80, 1, 0x1f, 0xfc, 0x21}, uint8(11))
	f.Add([]byte{9, 0x1c, 1, 0, 0, 0, 0, 0, 0, 3, 0x26, 1, 0x80, 9, 0x1c, 1, 0, 0, 0, 0, 0, 0, 3, 0x26, 1, 0x10}, uint8(12))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		var in flv.Intake
		now := time.Unix(1, 0)
		came, out := 0, 0
		for stamp := uint32(0); len(data) > 1 && stamp < 2000; stamp++ {
			n := min(len(data), int(size)+2)
			track, body := packetbuf.Track(data[0]%3), bytes.Clone(data[1:n])
			data, came = data[n:], came+n
			packets, _ := in.Take(now, track, stamp/4, body)
			for _, p := range packets {
				out += len(p.Payload)
			}
			in.TakeOthers(now, track, stamp/4, body)
			now = now.Add(10 * time.Millisecond)
			if due := in.Due(); !due.IsZero() && due.Before(now) {
				in.Flush(now)
			}
		}
		in.Flush(time.Time{})
		const configuration = 64 // most bytes of a configuration derived from a message
		if most := 8*came + configuration*came; out > most {
			t.Fatalf("got %d bytes out of %d, want at most %d", out, came, most)
		}
	})
}
