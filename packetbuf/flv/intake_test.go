package flv

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// takeOne passes a body to an intake, which returns at most one packet, without waiting for more
// parts of a frame.
func takeOne(in *Intake, track packetbuf.Track, timestamp uint32, body []byte) (*packetbuf.Packet, error) {
	packets, err := in.Take(time.Time{}, track, timestamp, body)
	if len(packets) == 0 {
		packets, _ = in.Flush(time.Time{})
	}
	if len(packets) == 0 {
		return nil, err
	}
	return packets[len(packets)-1], err
}

// dropped returns how many bodies an intake has counted as unreadable.
func dropped(in *Intake) int { return int(in.Repairs.Count(packetbuf.Unreadable)) } //nolint:gosec // a few

func TestIntake(t *testing.T) {
	config := []byte{0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f}
	key := join([]byte{0x17, 1, 0, 0, 0}, accessUnit([]byte{0x65, 0x88}))
	steps := []struct {
		name    string
		track   packetbuf.Track
		body    []byte
		kind    packetbuf.Kind
		want    bool
		dropped int
	}{
		{"a picture before its configuration", packetbuf.Video, key, 0, false, 0},
		{"nothing", packetbuf.Video, nil, 0, false, 0},
		{"no media", packetbuf.Video, []byte{0x17, 9, 0, 0, 0, 1}, 0, false, 1},
		{"configuration", packetbuf.Video, config, packetbuf.Config, true, 1},
		{"a picture", packetbuf.Video, key, packetbuf.Key, true, 1},
		{"MP3 needs none", packetbuf.Audio, []byte{0x2f, 0xff, 0xfb}, packetbuf.Delta, true, 1},
		{"AAC does", packetbuf.Audio, []byte{0xaf, 1, 0x21}, 0, false, 1},
		{"metadata", packetbuf.Data, []byte("\x02\x00\x0aonMetaData\x05"), packetbuf.Config, true, 1},
	}
	var in Intake
	for _, s := range steps {
		p, err := takeOne(&in, s.track, 4711, s.body)
		if err != nil || (p != nil) != s.want || dropped(&in) != s.dropped {
			t.Fatalf("%s: got %+v, %v, %d dropped, want a packet: %v, %d dropped", s.name, p, err, dropped(&in), s.want, s.dropped)
		}
		if p != nil && (p.Kind != s.kind || p.DTS != 4711*time.Millisecond) {
			t.Errorf("%s: got %+v, want kind %v at 4711 ms", s.name, p, s.kind)
		}
	}
	for name, body := range map[string][]byte{"Sorenson": {0x12, 1, 2}, "VVC": join(0x91, "vvc1", 1, 2)} {
		var unsupported *UnsupportedError
		if p, err := takeOne(&in, packetbuf.Video, 0, body); p != nil || !errors.As(err, &unsupported) || unsupported.Track != packetbuf.Video {
			t.Errorf("%s: got %+v, %v, want an UnsupportedError", name, p, err)
		}
	}
}

// opusHead is the configuration of stereo Opus.
var opusHead = join("OpusHead", 1, 2, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 0)

func TestIntakeOfEnhancedCodecs(t *testing.T) {
	streamInfo := join("fLaC", 0x80, 0, 0, 34, 0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0, make([]byte, 20))
	for name, c := range map[string]struct {
		track              packetbuf.Track
		bad, config, frame []byte
		codec              packetbuf.Codec
	}{
		"HEVC":        {packetbuf.Video, join(0x90, "hvc1", 1, 2), join(0x90, "hvc1", hvcC), join(0x93, "hvc1", hevcIDR), packetbuf.HEVC},
		"legacy HEVC": {packetbuf.Video, join(0x1c, 0, 0, 0, 0, 1), join(0x1c, 0, 0, 0, 0, hvcC), join(0x1c, 1, 0, 0, 0, hevcIDR), packetbuf.HEVC},
		"AV1":         {packetbuf.Video, join(0x90, "av01", 1), join(0x90, "av01", 0x81, 4, 0x0c, 0), join(0x91, "av01", av1Key), packetbuf.AV1},
		"Opus":        {packetbuf.Audio, join(0x90, "Opus", 1, 2), join(0x90, "Opus", opusHead), join(0x91, "Opus", 0xfc, 0xff), packetbuf.Opus},
		"FLAC":        {packetbuf.Audio, join(0x90, "fLaC", 1, 2), join(0x90, "fLaC", streamInfo), join(0x91, "fLaC", 0xff, 0xf8), packetbuf.FLAC},
	} {
		var in Intake
		tooEarly := [][]byte{c.frame, c.bad, c.frame}
		if c.codec == packetbuf.Opus { // its configuration can be derived from a frame
			tooEarly = [][]byte{c.bad}
		}
		for _, early := range tooEarly {
			if p, err := takeOne(&in, c.track, 0, early); p != nil || err != nil {
				t.Errorf("%s before its configuration: got %+v, %v, want nothing", name, p, err)
			}
		}
		if dropped(&in) != 1 {
			t.Errorf("%s: got %d dropped, want 1", name, dropped(&in))
		}
		for _, body := range [][]byte{c.config, c.frame} {
			if p, err := takeOne(&in, c.track, 0, body); err != nil || p == nil || p.Codec != c.codec {
				t.Errorf("%s: got %+v, %v, want a packet of %s", name, p, err, c.codec)
			}
		}
	}
	var in Intake
	for _, body := range [][]byte{join(0x91, "vp08", vp8Key), join(0x91, "vp09", 0x82, 0x49, 0x83, 0x42, 0, 0)} {
		if p, err := takeOne(&in, packetbuf.Video, 0, body); err != nil || p == nil || p.Kind != packetbuf.Key {
			t.Errorf("got %+v, %v, want a keyframe", p, err)
		}
	}
	for _, codec := range []string{"ac-3", "ec-3"} {
		if p, err := takeOne(&in, packetbuf.Audio, 0, join(0x91, codec, 0x0b, 0x77)); err != nil || p == nil {
			t.Errorf("%s: got %+v, %v, want a packet", codec, p, err)
		}
	}
}

func TestIntakeOfOtherTracks(t *testing.T) {
	var in Intake
	config := join(0x95, 0x00, "Opus", 3, opusHead)
	frames := join(0x95, 0x11, "Opus", 0, 0, 0, 2, 0xfc, 0, 3, 0, 0, 2, 0xfc, 1, 4, 0, 0, 2, 0xfc, 2)
	if got := in.TakeOthers(time.Time{}, packetbuf.Audio, 7, frames); len(got) != 0 {
		t.Errorf("frames before a configuration: got %+v, want none", got)
	}
	if got := in.TakeOthers(time.Time{}, packetbuf.Audio, 7, config); len(got) != 1 || got[0].ID != 3 || got[0].Packet.Kind != packetbuf.Config {
		t.Errorf("configuration: got %+v, want one of track 3", got)
	}
	got := in.TakeOthers(time.Time{}, packetbuf.Audio, 7, frames)
	if len(got) != 1 || got[0].ID != 3 || !bytes.Equal(got[0].Packet.Payload, []byte{0xfc, 1}) || got[0].Packet.DTS != 7*time.Millisecond {
		t.Errorf("frames: got %+v, want one of track 3 at 7 ms", got)
	}
	if p, err := takeOne(&in, packetbuf.Audio, 7, frames); p == nil || err != nil || !bytes.Equal(p.Payload, []byte{0xfc, 0}) {
		t.Errorf("track 0: got %+v, %v, want its frame", p, err)
	}
	if dropped(&in) != 0 {
		t.Errorf("got %d dropped, want none", dropped(&in))
	}
	// An unknown codec, a known one, and a part cut short.
	mixed := join(0x95, 0x21, "zzzz", 1, 0, 0, 1, 9, "ac-3", 2, 0, 0, 2, 0x0b, 0x77, "ac-3", 3, 0, 0, 9, 1)
	if got := in.TakeOthers(time.Time{}, packetbuf.Audio, 0, mixed); len(got) != 1 || got[0].ID != 2 || dropped(&in) != 1 {
		t.Errorf("mixed: got %+v, %d dropped, want track 2 and 1 dropped", got, dropped(&in))
	}
	// Take counts a body that it cannot read once, but not faults after its own track.
	if p, err := takeOne(&in, packetbuf.Audio, 0, mixed); p != nil || err != nil || dropped(&in) != 2 {
		t.Errorf("Take of mixed: got %+v, %v, %d dropped, want nothing and 2 dropped", p, err, dropped(&in))
	}
	behind := join(0x95, 0x11, "ac-3", 0, 0, 0, 2, 0x0b, 0x77, 3, 0, 0, 9, 1)
	if p, err := takeOne(&in, packetbuf.Audio, 0, behind); p == nil || err != nil || dropped(&in) != 2 {
		t.Errorf("Take with a fault after its track: got %+v, %v, %d dropped, want a packet and 2 dropped", p, err, dropped(&in))
	}
	if got := in.TakeOthers(time.Time{}, packetbuf.Audio, 0, behind); len(got) != 0 || dropped(&in) != 3 {
		t.Errorf("TakeOthers with a fault: got %+v, %d dropped, want none and 3 dropped", got, dropped(&in))
	}
}

// A small payload of a large body does not keep the whole body in memory.
func TestIntakeKeepsNoMoreThanItTakes(t *testing.T) {
	large := bytes.Repeat([]byte{7}, 1<<16)
	shares := func(first []byte) []byte {
		return join(0, 0, 0, len(first), first, 1, 1, 0, 0, large, 2, 0, 0, 2, 0x0b, 0x77)
	}
	held := func(p *packetbuf.Packet) []byte {
		if p == nil {
			return nil
		}
		return bytes.Join([][]byte{p.Payload, p.Beside}, nil)
	}
	var in Intake
	if p, err := takeOne(&in, packetbuf.Audio, 0, join(0x90, "Opus", opusHead)); p == nil || err != nil {
		t.Fatal(p, err)
	}
	for name, c := range map[string]struct {
		body []byte
		want []byte
	}{
		"a frame among other tracks":       {join(0x95, 0x11, "Opus", shares([]byte{0xfc, 1})), []byte{0xfc, 1}},
		"a description among other tracks": {join(0x95, 0x14, "Opus", shares(channels)), join(opusHead, channels)},
		"a frame behind a modifier":        {join(0x97, 0xff, 0xff, 0xff, large, 0x01, "Opus", 0xfc, 2), []byte{0xfc, 2}},
	} {
		p, err := takeOne(&in, packetbuf.Audio, 0, c.body)
		clear(c.body)
		if err != nil || !bytes.Equal(held(p), c.want) {
			t.Errorf("%s: got %x, %v, want %x", name, held(p), err, c.want)
		}
	}
	body := join(0x95, 0x11, "ac-3", shares([]byte{0x0b, 0x77}))
	others := in.TakeOthers(time.Time{}, packetbuf.Audio, 0, body)
	clear(body)
	if len(others) != 2 || !bytes.Equal(others[1].Packet.Payload, []byte{0x0b, 0x77}) {
		t.Errorf("other tracks: got %+v, want 2", others)
	}
}

// A body of very many tiny parts, each of which would cost twenty times its size, is read only up
// to the number of possible tracks.
func TestTracksAreBounded(t *testing.T) {
	for name, of := range map[string]struct {
		id   int
		left int
	}{"parts of track 0 only": {0, 1}, "parts of another track": {1, 0}} {
		body := join(0x96, 0x11, "vp08")
		for range 100_000 {
			body = append(body, byte(of.id), 0, 0, 1, 1)
		}
		all, left := Others(packetbuf.Video, body)
		if len(all) > maxTracks || left != of.left {
			t.Errorf("%s: got %d others, %d left, want at most %d and %d", name, len(all), left, maxTracks, of.left)
		}
	}
	var in Intake
	body := join(0x96, 0x11, "vp08", bytes.Repeat([]byte{1, 0, 0, 1, 1}, maxTracks+1))
	if p, err := takeOne(&in, packetbuf.Video, 0, body); p != nil || err != nil || dropped(&in) != 1 {
		t.Errorf("got %+v, %v, %d dropped, want nothing and 1 dropped", p, err, dropped(&in))
	}
}

// FuzzOthers checks that each part of a multitrack body lies within the body, and that Decode and
// Others never both return it.
func FuzzOthers(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add(uint8(c.track), c.body)
	}
	f.Add(uint8(packetbuf.Video), join(0x97, 0, 9, 0x07, 0, 9, 0x06, 0x21, "vp09", 1, 0, 0, 1, 9, "hvc1", 2, 0, 0, 9))
	f.Fuzz(func(t *testing.T, track uint8, body []byte) {
		others, left := Others(packetbuf.Track(track), body)
		if (len(others) > 0 || left > 0) && !Multitrack(packetbuf.Track(track), body) {
			t.Fatal("got several tracks from a body of one")
		}
		if len(others)+left > 1+len(body)/4 && len(others)+left > 1 {
			t.Fatalf("got %d tracks, %d left, from %d bytes", len(others), left, len(body))
		}
		for _, one := range others {
			if one.ID == 0 || one.Packet == nil || len(one.Packet.Payload) == 0 || len(one.Packet.Payload) > len(body) {
				t.Fatalf("got %+v, want a numbered track with a payload of the body", one)
			}
		}
	})
}
