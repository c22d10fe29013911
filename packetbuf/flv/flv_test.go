package flv

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const ms = time.Millisecond

// accessUnit joins NAL units with 4-byte lengths.
func accessUnit(nals ...[]byte) []byte {
	var out []byte
	for _, n := range nals {
		out = append(out, 0, 0, byte(len(n)>>8), byte(len(n)))
		out = append(out, n...)
	}
	return out
}

var (
	idr         = []byte{0x65, 0x88, 0x84, 0x00, 0x10}
	nonIDR      = []byte{0x41, 0x9a, 0x24, 0x6c} // P slice, referenced
	unused      = []byte{0x01, 0x9e, 0x41, 0x78} // B slice, nal_ref_idc 0
	intra       = []byte{0x61, 0x88, 0x84, 0x10} // I slice, not IDR
	recovery    = []byte{0x06, 0x06, 0x01, 0x84, 0x80}
	parameterP  = []byte{0x68, 0xee, 0x3c, 0x80}
	delimiter   = []byte{0x09, 0xf0}
	avcRecord   = []byte{1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 0x64, 1, 0, 2, 0x68, 0xee}
	asc48Stereo = []byte{0x11, 0x90}
)

func join(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			out = append(out, p...)
		case string:
			out = append(out, p...)
		case int:
			out = append(out, byte(p))
		}
	}
	return out
}

type decodeCase struct {
	name  string
	track packetbuf.Track
	body  []byte
	want  *packetbuf.Packet // nil: nothing to pass on
	once  bool              // encodes to different bytes
}

func video(c packetbuf.Codec, k packetbuf.Kind, cto time.Duration, payload []byte) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Video, Codec: c, Kind: k, CTO: cto, Payload: payload}
}

func audio(c packetbuf.Codec, k packetbuf.Kind, payload []byte) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Audio, Codec: c, Kind: k, Payload: payload}
}

func data(k packetbuf.Kind, payload []byte) *packetbuf.Packet {
	return &packetbuf.Packet{Track: packetbuf.Data, Codec: packetbuf.AMF0, Kind: k, Payload: payload}
}

// Frames, as far as VideoKind reads them.
var (
	vp8Key     = []byte{0x10, 0, 0, 0x9d, 1}
	hevcIDR    = []byte{0, 0, 0, 3, 19 << 1, 1, 0x80}
	hevcP      = []byte{0, 0, 0, 3, 1 << 1, 1, 0x80}
	hevcUnused = []byte{0, 0, 0, 3, 0, 1, 0x80}
	av1Key     = []byte{6<<3 | 2, 2, 0x10, 0}
	av1Inter   = []byte{6<<3 | 2, 2, 0x30, 0}
	vp9Inter   = []byte{0x86, 0, 0}
)

func decodeCases() []decodeCase {
	const (
		v, a, d = packetbuf.Video, packetbuf.Audio, packetbuf.Data
	)
	b5 := []byte{1, 2, 3, 4, 5}
	mp3 := []byte{0xff, 0xfb, 0x90, 0x00, 1, 2, 3}
	mp3At8k := []byte{0xff, 0xe3, 0x18, 0xc0, 1}
	meta := join(2, 0, 10, "onMetaData", 8, 0, 0, 0, 0, 0, 0, 9)
	cue := join(2, 0, 10, "onCuePoint", 5)
	return []decodeCase{
		{"empty video", v, nil, nil, false},
		{"empty audio", a, nil, nil, false},
		{"empty data", d, nil, nil, false},

		{"AVC configuration", v, join(0x17, 0, 0, 0, 0, avcRecord), video(packetbuf.H264, packetbuf.Config, 0, avcRecord), false},
		{"AVC IDR", v, join(0x17, 1, 0, 0, 80, accessUnit(idr)), video(packetbuf.H264, packetbuf.Key, 80*ms, accessUnit(idr)), false},
		{"AVC IDR behind parameter sets", v, join(0x17, 1, 0, 0, 0, accessUnit(delimiter, parameterP, idr)), video(packetbuf.H264, packetbuf.Key, 0, accessUnit(delimiter, parameterP, idr)), false},
		{"AVC IDR not marked as key", v, join(0x27, 1, 0, 0, 0, accessUnit(idr)), video(packetbuf.H264, packetbuf.Key, 0, accessUnit(idr)), true},
		{"AVC P", v, join(0x27, 1, 0, 0, 0, accessUnit(nonIDR)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(nonIDR)), false},
		{"AVC P with negative composition time", v, join(0x27, 1, 0xff, 0xff, 0xd8, accessUnit(nonIDR)), video(packetbuf.H264, packetbuf.Delta, -40*ms, accessUnit(nonIDR)), false},
		{"AVC P marked as key", v, join(0x17, 1, 0, 0, 0, accessUnit(nonIDR)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(nonIDR)), true},
		{"AVC P with recovery point, as in intra-refresh", v, join(0x17, 1, 0, 0, 0, accessUnit(recovery, nonIDR)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(recovery, nonIDR)), true},
		{"AVC I with recovery point", v, join(0x17, 1, 0, 0, 0, accessUnit(recovery, intra)), video(packetbuf.H264, packetbuf.Key, 0, accessUnit(recovery, intra)), false},
		{"AVC I without recovery point", v, join(0x17, 1, 0, 0, 0, accessUnit(intra)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(intra)), true},
		{"AVC I with recovery point, not marked", v, join(0x27, 1, 0, 0, 0, accessUnit(recovery, intra)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(recovery, intra)), false},
		{"AVC unreferenced", v, join(0x37, 1, 0, 0, 0, accessUnit(unused)), video(packetbuf.H264, packetbuf.Disposable, 0, accessUnit(unused)), false},
		{"AVC unreferenced, not marked", v, join(0x27, 1, 0, 0, 0, accessUnit(unused, unused)), video(packetbuf.H264, packetbuf.Disposable, 0, accessUnit(unused, unused)), true},
		{"AVC referenced, marked disposable", v, join(0x37, 1, 0, 0, 0, accessUnit(nonIDR)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(nonIDR)), true},
		{"AVC parameter sets alone", v, join(0x27, 1, 0, 0, 0, accessUnit(parameterP)), video(packetbuf.H264, packetbuf.Delta, 0, accessUnit(parameterP)), false},
		{"AVC that is not length-prefixed", v, join(0x17, 1, 0, 0, 0, b5), video(packetbuf.H264, packetbuf.Key, 0, b5), false},
		{"AVC end of sequence", v, []byte{0x17, 2, 0, 0, 0}, nil, false},
		{"AVC end of sequence, short", v, []byte{0x17, 2}, nil, false},
		{"AVC without NAL units", v, []byte{0x27, 1, 0, 0, 0}, nil, false},
		{"seek frame", v, []byte{0x57, 0}, nil, false},
		{"legacy HEVC", v, join(0x1c, 1, 0, 0, 40, b5), video(packetbuf.HEVC, packetbuf.Key, 40*ms, b5), true},
		{"legacy HEVC configuration", v, join(0x1c, 0, 0, 0, 0, b5), video(packetbuf.HEVC, packetbuf.Config, 0, b5), true},

		{"avc1 configuration", v, join(0x90, "avc1", avcRecord), video(packetbuf.H264, packetbuf.Config, 0, avcRecord), true},
		{"avc1 frames", v, join(0x91, "avc1", 0, 0, 33, accessUnit(idr)), video(packetbuf.H264, packetbuf.Key, 33*ms, accessUnit(idr)), true},
		{"avc1 framesX", v, join(0xa3, "avc1", accessUnit(unused)), video(packetbuf.H264, packetbuf.Disposable, 0, accessUnit(unused)), true},
		{"hvc1 configuration", v, join(0x90, "hvc1", b5), video(packetbuf.HEVC, packetbuf.Config, 0, b5), false},
		{"hvc1 frames", v, join(0xa1, "hvc1", 0xff, 0xff, 0xff, b5), video(packetbuf.HEVC, packetbuf.Delta, -ms, b5), false},
		{"hvc1 framesX", v, join(0x93, "hvc1", b5), video(packetbuf.HEVC, packetbuf.Key, 0, b5), false},
		{"hvc1 end", v, join(0x92, "hvc1"), nil, false},
		{"av01 configuration", v, join(0x90, "av01", b5), video(packetbuf.AV1, packetbuf.Config, 0, b5), false},
		{"av01 frames", v, join(0xb1, "av01", b5), video(packetbuf.AV1, packetbuf.Disposable, 0, b5), false},
		{"vp08 frames", v, join(0x91, "vp08", vp8Key), video(packetbuf.VP8, packetbuf.Key, 0, vp8Key), false},
		{"vp08 marked as key", v, join(0x91, "vp08", b5), video(packetbuf.VP8, packetbuf.Delta, 0, b5), true},
		{"hvc1 IDR that is not marked", v, join(0xa3, "hvc1", hevcIDR), video(packetbuf.HEVC, packetbuf.Key, 0, hevcIDR), true},
		{"hvc1 P marked as key", v, join(0x93, "hvc1", hevcP), video(packetbuf.HEVC, packetbuf.Delta, 0, hevcP), true},
		{"hvc1 unreferenced, not marked", v, join(0xa3, "hvc1", hevcUnused), video(packetbuf.HEVC, packetbuf.Disposable, 0, hevcUnused), true},
		{"av01 key that is not marked", v, join(0xa1, "av01", av1Key), video(packetbuf.AV1, packetbuf.Key, 0, av1Key), true},
		{"av01 marked as key", v, join(0x91, "av01", av1Inter), video(packetbuf.AV1, packetbuf.Delta, 0, av1Inter), true},
		{"vp09 marked as key", v, join(0x91, "vp09", vp9Inter), video(packetbuf.VP9, packetbuf.Delta, 0, vp9Inter), true},
		{"vp09 frames", v, join(0xa1, "vp09", b5), video(packetbuf.VP9, packetbuf.Delta, 0, b5), false},
		{"colour metadata", v, join(0x94, "hvc1", b5), nil, false},
		{"Enhanced command", v, []byte{0xd1, 0}, nil, false},
		{"modifier", v, join(0x97, 2, 0, 0, 7, 0x01, "vp09", b5), video(packetbuf.VP9, packetbuf.Key, 0, b5), true},
		{"long modifier", v, join(0x97, 255, 0, 1, 9, 9, 0x01, "vp09", b5), video(packetbuf.VP9, packetbuf.Key, 0, b5), true},
		{"one-track body", v, join(0x96, 0x01, "vp09", 0, b5), video(packetbuf.VP9, packetbuf.Key, 0, b5), true},
		{"one-track body of another track", v, join(0x96, 0x01, "vp09", 1, b5), nil, false},
		{"many tracks", v, join(0x96, 0x11, "vp09", 1, 0, 0, 1, 9, 0, 0, 0, 5, b5), video(packetbuf.VP9, packetbuf.Key, 0, b5), true},
		{"many tracks and codecs", v, join(0x96, 0x21, "zzzz", 1, 0, 0, 1, 9, "vp08", 0, 0, 0, 5, vp8Key), video(packetbuf.VP8, packetbuf.Key, 0, vp8Key), true},

		{"AAC configuration", a, join(0xaf, 0, asc48Stereo), audio(packetbuf.AAC, packetbuf.Config, asc48Stereo), false},
		{"AAC frame", a, join(0xaf, 1, b5), audio(packetbuf.AAC, packetbuf.Delta, b5), false},
		{"AAC frame, other flags", a, join(0xa2, 1, b5), audio(packetbuf.AAC, packetbuf.Delta, b5), true},
		{"AAC without a frame", a, []byte{0xaf, 1}, nil, false},
		{"MP3", a, join(0x2f, mp3), audio(packetbuf.MP3, packetbuf.Delta, mp3), false},
		{"MP3 8 kHz mono", a, join(0xe2, mp3At8k), audio(packetbuf.MP3, packetbuf.Delta, mp3At8k), false},
		{"Opus configuration", a, join(0x90, "Opus", b5), audio(packetbuf.Opus, packetbuf.Config, b5), false},
		{"Opus frame", a, join(0x91, "Opus", b5), audio(packetbuf.Opus, packetbuf.Delta, b5), false},
		{"Opus end", a, join(0x92, "Opus"), nil, false},
		{"FLAC frame", a, join(0x91, "fLaC", b5), audio(packetbuf.FLAC, packetbuf.Delta, b5), false},
		{"AC-3 frame", a, join(0x91, "ac-3", b5), audio(packetbuf.AC3, packetbuf.Delta, b5), false},
		{"E-AC-3 frame", a, join(0x91, "ec-3", b5), audio(packetbuf.EAC3, packetbuf.Delta, b5), false},
		{"mp4a frame", a, join(0x91, "mp4a", b5), audio(packetbuf.AAC, packetbuf.Delta, b5), true},
		{".mp3 frame", a, join(0x91, ".mp3", mp3), audio(packetbuf.MP3, packetbuf.Delta, mp3), true},
		{"channel order", a, join(0x94, "Opus", b5), nil, false},
		{"audio, one-track", a, join(0x95, 0x01, "Opus", 0, b5), audio(packetbuf.Opus, packetbuf.Delta, b5), true},
		{"audio, modifier", a, join(0x97, 2, 0, 0, 7, 0x01, "Opus", b5), audio(packetbuf.Opus, packetbuf.Delta, b5), true},

		{"metadata", d, meta, data(packetbuf.Config, meta), false},
		{"metadata behind @setDataFrame", d, join(2, 0, 13, "@setDataFrame", meta), data(packetbuf.Config, meta), true},
		{"metadata with a long name", d, join(12, 0, 0, 0, 10, "onMetaData", 5), data(packetbuf.Config, join(12, 0, 0, 0, 10, "onMetaData", 5)), false},
		{"cue point", d, cue, data(packetbuf.Delta, cue), false},
		{"@setDataFrame alone", d, join(2, 0, 13, "@setDataFrame"), nil, false},
	}
}

func samePacket(a, b *packetbuf.Packet) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Track == b.Track && a.Codec == b.Codec && a.Kind == b.Kind &&
		a.CTO == b.CTO && a.DTS == b.DTS && bytes.Equal(a.Payload, b.Payload)
}

func TestDecode(t *testing.T) {
	for _, c := range decodeCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := Decode(c.track, c.body)
			if err != nil {
				t.Fatal(err)
			}
			if !samePacket(got, c.want) {
				t.Fatalf("got  %+v\nwant %+v", got, c.want)
			}
			if got == nil {
				return
			}
			back, err := AppendBody(nil, got)
			if err != nil {
				t.Fatal(err)
			}
			if !c.once && !bytes.Equal(back, c.body) {
				t.Fatalf("encoded back\ngot  %x\nwant %x", back, c.body)
			}
			if again, err := Decode(c.track, back); err != nil || !samePacket(again, got) {
				t.Fatalf("decoded again: got %+v, %v, want %+v", again, err, got)
			}
		})
	}
}

func TestDecodeUnsupported(t *testing.T) {
	for _, c := range []struct {
		track packetbuf.Track
		body  []byte
		codec string
	}{
		{packetbuf.Video, []byte{0x12, 0}, "Sorenson H.263"},
		{packetbuf.Video, []byte{0x13, 0}, "Screen video"},
		{packetbuf.Video, []byte{0x14, 0}, "VP6"},
		{packetbuf.Video, []byte{0x15, 0}, "VP6 with alpha"},
		{packetbuf.Video, []byte{0x16, 0}, "Screen video v2"},
		{packetbuf.Video, []byte{0x1f, 0}, "id 15"},
		{packetbuf.Video, join(0x91, "vvc1", 1), `"vvc1"`},
		{packetbuf.Audio, []byte{0x06, 0}, "PCM (platform endian)"},
		{packetbuf.Audio, []byte{0x16, 0}, "ADPCM"},
		{packetbuf.Audio, []byte{0x36, 0}, "PCM"},
		{packetbuf.Audio, []byte{0x46, 0}, "Nellymoser 16 kHz"},
		{packetbuf.Audio, []byte{0x56, 0}, "Nellymoser 8 kHz"},
		{packetbuf.Audio, []byte{0x66, 0}, "Nellymoser"},
		{packetbuf.Audio, []byte{0x76, 0}, "G.711 A-law"},
		{packetbuf.Audio, []byte{0x86, 0}, "G.711 mu-law"},
		{packetbuf.Audio, []byte{0xb6, 0}, "Speex"},
		{packetbuf.Audio, []byte{0xf6, 0}, "device-specific sound"},
		{packetbuf.Audio, []byte{0xc6, 0}, "id 12"},
		{packetbuf.Audio, join(0x91, "a\x00\xffb", 1), `"a\x00\xffb"`},
	} {
		_, err := Decode(c.track, c.body)
		var u *UnsupportedError
		if !errors.As(err, &u) || u.Track != c.track || u.Codec != c.codec {
			t.Errorf("%x: got %v, want an UnsupportedError of codec %s", c.body, err, c.codec)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	for _, c := range []struct {
		track packetbuf.Track
		body  []byte
	}{
		{packetbuf.Video, []byte{0x17}},
		{packetbuf.Video, []byte{0x17, 1, 0, 0}},
		{packetbuf.Video, []byte{0x17, 3, 0, 0, 0, 1}},
		{packetbuf.Video, []byte{0x90}},
		{packetbuf.Video, join(0x90, "avc")},
		{packetbuf.Video, join(0x91, "avc1", 0, 0)},
		{packetbuf.Video, join(0x98, "avc1", 0, 0)},
		{packetbuf.Video, []byte{0x97}},
		{packetbuf.Video, []byte{0x97, 3, 0, 0, 0, 0}},
		{packetbuf.Video, []byte{0x97, 255, 0}},
		{packetbuf.Video, []byte{0x96}},
		{packetbuf.Video, []byte{0x96, 0x36, 0, 0, 0, 0}},
		{packetbuf.Video, join(0x96, 0x11, "vp09", 0, 0, 0, 9, 1)},
		{packetbuf.Video, join(0x96, 0x11, "vp09", 0, 0)},
		{packetbuf.Audio, []byte{0xaf}},
		{packetbuf.Audio, []byte{0xaf, 2, 1}},
		{packetbuf.Audio, join(0x93, "Opus", 1)},
		{packetbuf.Data, []byte{2}},
		{packetbuf.Data, []byte{2, 0, 9, 'o'}},
		{packetbuf.Data, []byte{12, 0xff, 0xff, 0xff, 0xff, 'o'}},
		{packetbuf.Data, []byte{5, 0, 0, 0, 0}},
		{packetbuf.Data, join(2, 0, 13, "@setDataFrame", 1)},
		{packetbuf.Track(9), []byte{1}},
	} {
		if p, err := Decode(c.track, c.body); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s %x: got %+v, %v, want ErrMalformed", c.track, c.body, p, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add(uint8(c.track), c.body)
	}
	f.Fuzz(func(t *testing.T, track uint8, body []byte) {
		p, err := Decode(packetbuf.Track(track), body)
		if p == nil {
			return
		}
		if err != nil {
			t.Fatalf("got both a packet and an error: %v", err)
		}
		if len(p.Payload) == 0 || len(p.Payload) > len(body) {
			t.Fatalf("got a payload of %d bytes from %d", len(p.Payload), len(body))
		}
		back, err := AppendBody(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(p.Track, back)
		if err != nil || !samePacket(again, p) {
			t.Fatalf("encoded and decoded: got %+v, %v, want %+v", again, err, p)
		}
	})
}
