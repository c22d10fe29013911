package flv

import (
	"bytes"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
)

var (
	hvcC      = join(1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0)
	otherHvcC = join(1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 120, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0)
	colours   = join("\x02\x00\x09colorInfo", 3, 0, 0, 9)
	channels  = join(orderNative, 6, 0, 0, 0, 0x3f)
)

// A description of colours or channels is attached to the configuration, whichever arrives first,
// and a configuration is repeated once for it.
func TestDescription(t *testing.T) {
	config, other, colour := join(0x90, "hvc1", hvcC), join(0x90, "hvc1", otherHvcC), join(0xd4, "hvc1", colours)
	type step struct {
		body   []byte
		config []byte // payload of the packet returned; nil for none
		beside []byte
	}
	for name, steps := range map[string][]step{
		"behind the configuration":      {{config, hvcC, nil}, {colour, hvcC, colours}, {colour, nil, nil}, {config, hvcC, colours}},
		"before it":                     {{colour, nil, nil}, {config, hvcC, colours}},
		"of another configuration":      {{config, hvcC, nil}, {colour, hvcC, colours}, {other, otherHvcC, nil}},
		"of another codec":              {{config, hvcC, nil}, {join(0xd4, "av01", colours), nil, nil}, {config, hvcC, nil}},
		"in a modifier and in multiple": {{config, hvcC, nil}, {join(0x97, 0, 9, 0x06, 0x04, "hvc1", 0, colours), hvcC, colours}},
		"of another track":              {{config, hvcC, nil}, {join(0x96, 0x04, "hvc1", 1, colours), nil, nil}},
	} {
		var in Intake
		for i, s := range steps {
			p, err := takeOne(&in, packetbuf.Video, 40, s.body)
			switch {
			case err != nil:
				t.Fatal(name, i, err)
			case p == nil && s.config == nil:
			case p == nil || p.Kind != packetbuf.Config || p.DTS != 40*ms || !bytes.Equal(p.Payload, s.config) || !bytes.Equal(p.Beside, s.beside):
				t.Errorf("%s, step %d: got %+v, want configuration %x with description %x", name, i, p, s.config, s.beside)
			}
		}
		if dropped(&in) != 0 {
			t.Errorf("%s: got %d dropped, want none", name, dropped(&in))
		}
	}
}

func TestBadDescriptions(t *testing.T) {
	var in Intake
	for i, c := range []struct {
		track packetbuf.Track
		body  []byte
	}{
		{packetbuf.Video, join(0xd4, "hvc1")},
		{packetbuf.Video, join(0xd4, "hvc1", 2, 0, 200, "colorInfo")},
		{packetbuf.Video, join(0xd4, "hvc1", colours, make([]byte, maxDescription))},
		{packetbuf.Audio, join(0x94, "fLaC", orderNative)},
		{packetbuf.Audio, join(0x94, "fLaC", orderNative, 6, 0, 0)},
		{packetbuf.Audio, join(0x94, "fLaC", orderCustom, 3, 0, 1)},
		{packetbuf.Audio, join(0x94, "fLaC", orderUnspecified, 0)},
		{packetbuf.Audio, join(0x94, "fLaC", 9, 2)},
	} {
		if p, err := takeOne(&in, c.track, 0, c.body); p != nil || err != nil || dropped(&in) != i+1 {
			t.Errorf("%x: got %+v, %v, %d dropped, want no packet and %d dropped", c.body, p, err, dropped(&in), i+1)
		}
	}
}

// A description that is sent after a configuration is attached to it when read. A tag omits it.
func TestBeside(t *testing.T) {
	streamInfo := join("fLaC", 0x80, 0, 0, 34, 0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0xc4, 0x42, 0xf0, make([]byte, 20))
	for _, p := range []*packetbuf.Packet{
		{Track: packetbuf.Video, Codec: packetbuf.HEVC, Payload: hvcC, Beside: colours},
		{Track: packetbuf.Audio, Codec: packetbuf.FLAC, Payload: streamInfo, Beside: channels},
	} {
		plain := &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Payload: p.Payload}
		if !bytes.Equal(Tag(p), Tag(plain)) || Beside(plain) != nil {
			t.Errorf("%s: got a tag of %d bytes, want %d, as without a description", p.Codec, len(Tag(p)), len(Tag(plain)))
		}
		body, err := AppendBody(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		var in Intake
		first, err := takeOne(&in, p.Track, 0, body)
		if err != nil || first == nil || first.Beside != nil {
			t.Fatalf("%s: got %+v, %v, want a configuration without a description", p.Codec, first, err)
		}
		if got, err := takeOne(&in, p.Track, 0, Beside(p)); err != nil || got == nil || !got.SameConfig(p) {
			t.Errorf("%s: got %+v, %v, want %+v", p.Codec, got, err, p)
		}
	}
}

// The legacy layout cannot carry a description, so no configuration is repeated for one.
func TestLegacyLayoutHasNoDescription(t *testing.T) {
	avcC := []byte{1, 0x64, 0, 0x1f}
	var in Intake
	if p, err := takeOne(&in, packetbuf.Video, 0, join(0x90, "avc1", avcC)); p == nil || err != nil {
		t.Fatal(p, err)
	}
	if p, err := takeOne(&in, packetbuf.Video, 0, join(0xd4, "avc1", colours)); p != nil || err != nil || dropped(&in) != 0 {
		t.Errorf("got %+v, %v, %d dropped, want no packet and none dropped", p, err, dropped(&in))
	}
	if b := Beside(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Payload: avcC, Beside: colours}); b != nil {
		t.Errorf("got a description message %x, want none", b)
	}
}

func FuzzDescription(f *testing.F) {
	f.Add(uint8(packetbuf.Video), join(0xd4, "hvc1", colours))
	f.Add(uint8(packetbuf.Audio), join(0x94, "fLaC", channels))
	f.Add(uint8(packetbuf.Video), join(0x97, 0, 9, 0x06, 0x04, "hvc1", 0, colours))
	f.Fuzz(func(t *testing.T, track uint8, body []byte) {
		if track >= uint8(packetbuf.NumTracks) {
			return
		}
		_, said, err := parseDescription(packetbuf.Track(track), body)
		if err == nil && len(said) > min(len(body), maxDescription) {
			t.Fatalf("got a description of %d bytes from %d", len(said), len(body))
		}
	})
}
