package flv

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

func TestTagRoundTrip(t *testing.T) {
	for _, dts := range []time.Duration{
		0, 40 * ms, 0xffffff * ms, 0x1000000 * ms, 0xffffffff * ms, 0x100000028 * ms,
	} {
		p := video(packetbuf.HEVC, packetbuf.Key, -3*ms, []byte{1, 2, 3})
		p.DTS = dts
		r := NewReader(io.MultiReader(bytes.NewReader(Header(true, false)), bytes.NewReader(Tag(p))), 0)
		raw, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if raw.Timestamp != p.Millis() || raw.StreamID != 0 {
			t.Errorf("got timestamp %d, stream %d, want %d, 0", raw.Timestamp, raw.StreamID, p.Millis())
		}
		got, err := raw.Packet()
		if err != nil {
			t.Fatal(err)
		}
		p.DTS = time.Duration(p.Millis()) * ms
		if !samePacket(got, p) {
			t.Errorf("got %+v, want %+v", got, p)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: got %v, want io.EOF", err)
		}
	}
}

func TestTagBytes(t *testing.T) {
	p := audio(packetbuf.AAC, packetbuf.Delta, []byte{0x21, 0x10})
	p.DTS = 0x12345678 * ms
	want := []byte{8, 0, 0, 4, 0x34, 0x56, 0x78, 0x12, 0, 0, 0, 0xaf, 1, 0x21, 0x10, 0, 0, 0, 15}
	if got := Tag(p); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got, err := AppendTag(nil, TypeAudio, p.Millis(), want[11:15]); err != nil || !bytes.Equal(got, want) {
		t.Errorf("AppendTag: got %x, %v, want %x", got, err, want)
	}
	if _, err := AppendTag(nil, TypeAudio, 0, make([]byte, MaxBody+1)); err == nil {
		t.Error("AppendTag: got no error for a body of more than 24 bits of size")
	}
	if Tag(audio(packetbuf.MP3, packetbuf.Delta, make([]byte, MaxBody))) != nil {
		t.Error("Tag: got a tag for a body of more than 24 bits of size, want nil")
	}
}

func TestCanCarry(t *testing.T) {
	for c := packetbuf.NoCodec; c <= packetbuf.AMF0+1; c++ {
		tracks := 0
		for track := range packetbuf.Track(packetbuf.NumTracks) {
			p := &packetbuf.Packet{Track: track, Codec: c, Kind: packetbuf.Delta, Payload: []byte{1}}
			_, err := AppendBody(nil, p)
			if err == nil {
				tracks++
			}
			if (Tag(p) == nil) != (err != nil) {
				t.Errorf("%s on %s: got Tag %v, AppendBody error %v, want both or none", c, track, Tag(p) != nil, err)
			}
		}
		if want := CanCarry(c); (tracks == 1) != want || tracks > 1 {
			t.Errorf("%s: got carried on %d tracks, CanCarry %v", c, tracks, want)
		}
	}
}

func TestCompositionTimeStaysInRange(t *testing.T) {
	for cto, want := range map[time.Duration]time.Duration{
		-1 * ms: -1 * ms, -8388608 * ms: -8388608 * ms, -time.Hour * 9: -8388608 * ms,
		time.Hour * 9: 8388607 * ms,
	} {
		body, err := AppendBody(nil, video(packetbuf.H264, packetbuf.Delta, cto, accessUnit(nonIDR)))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := Decode(packetbuf.Video, body); err != nil || p.CTO != want {
			t.Errorf("composition time %v: got %+v, %v, want %v", cto, p, err, want)
		}
	}
}

func TestReaderHeader(t *testing.T) {
	for _, want := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
		v, a, err := NewReader(bytes.NewReader(Header(want[0], want[1])), 0).Header()
		if err != nil || [2]bool{v, a} != want {
			t.Errorf("got %v %v %v, want %v", v, a, err, want)
		}
	}
	long := []byte{'F', 'L', 'V', 1, 5, 0, 0, 0, 12, 1, 2, 3, 0, 0, 0, 0}
	if v, a, err := NewReader(iotest.OneByteReader(bytes.NewReader(long)), 0).Header(); err != nil || !v || !a {
		t.Errorf("longer header: got %v, %v, %v, want both tracks", v, a, err)
	}
	for _, bad := range []string{"FLX\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00", "FLV\x01\x05\x00\x00\x00\x08\x00\x00\x00\x00", "FLV\x01\x05\xff\xff\xff\xff"} {
		if _, err := NewReader(bytes.NewReader([]byte(bad)), 0).Next(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v, want ErrMalformed", bad, err)
		}
	}
}

func TestReaderEnds(t *testing.T) {
	file := append(Header(true, true), Tag(audio(packetbuf.MP3, packetbuf.Delta, []byte("frame")))...)
	whole := len(file) - prevTagSize
	for n := range file {
		r := NewReader(bytes.NewReader(file[:n]), 0)
		_, err := r.Next()
		var want error
		switch {
		case n == 13:
			want = io.EOF
		case n < whole:
			want = io.ErrUnexpectedEOF
		}
		if !errors.Is(err, want) {
			t.Errorf("cut at %d: got %v, want %v", n, err, want)
		}
	}
	if _, err := NewReader(bytes.NewReader(file), 5).Next(); !errors.Is(err, ErrMalformed) {
		t.Errorf("body over the limit: got %v, want ErrMalformed", err)
	}
	if _, err := NewReader(bytes.NewReader(file), 6).Next(); err != nil {
		t.Errorf("body at the limit: got %v, want no error", err)
	}
	file[13] |= tagFilter
	if _, err := NewReader(bytes.NewReader(file), 0).Next(); !errors.Is(err, ErrMalformed) {
		t.Errorf("encrypted: got %v, want ErrMalformed", err)
	}
	failing := errors.New("broken")
	if _, err := NewReader(iotest.ErrReader(failing), 0).Next(); !errors.Is(err, failing) {
		t.Errorf("failing reader: got %v, want %v", err, failing)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(append(Header(true, true), Tag(audio(packetbuf.MP3, packetbuf.Delta, []byte("frame")))...))
	f.Add([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x12\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := NewReader(bytes.NewReader(file), 1<<16)
		for total := 0; ; {
			raw, err := r.Next()
			if err != nil {
				return
			}
			if total += len(raw.Body) + tagHeaderSize; total > len(file) {
				t.Fatalf("got %d bytes of tags from a file of %d", total, len(file))
			}
			p, _ := raw.Packet()
			if p != nil && p.Millis() != raw.Timestamp {
				t.Fatalf("got DTS %v, want %d ms", p.DTS, raw.Timestamp)
			}
		}
	})
}

func BenchmarkDecodeVideo(b *testing.B) {
	body, err := AppendBody(nil, video(packetbuf.H264, packetbuf.Delta, 40*ms, accessUnit(nonIDR, make([]byte, 10000))))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(packetbuf.Video, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTag(b *testing.B) {
	p := video(packetbuf.H264, packetbuf.Delta, 40*ms, accessUnit(nonIDR, make([]byte, 10000)))
	b.SetBytes(int64(len(p.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if Tag(p) == nil {
			b.Fatal("got no tag")
		}
	}
}

func BenchmarkAppendBody(b *testing.B) {
	p := video(packetbuf.H264, packetbuf.Delta, 40*ms, accessUnit(nonIDR, make([]byte, 10000)))
	dst := make([]byte, 0, 20000)
	b.SetBytes(int64(len(p.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendBody(dst, p); err != nil {
			b.Fatal(err)
		}
	}
}

// A browser's codecs, and the codecs that bridges make from them.
func TestBridgedAudio(t *testing.T) {
	head := codec.OpusHead{Channels: 2, PreSkip: 312, Rate: 48000}.Append(nil)
	for want, p := range map[string]*packetbuf.Packet{
		"\x90Opus" + string(head):      {Codec: packetbuf.Opus, Kind: packetbuf.Config, Payload: head},
		"\x91Opus\xfc\xff\xfe":         {Codec: packetbuf.Opus, Kind: packetbuf.Delta, Payload: []byte{0xfc, 0xff, 0xfe}},
		"\xaf\x00\x11\x90":             {Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: []byte{0x11, 0x90}},
		"\xaf\x01\x21\x10\x04\x60\x8c": {Codec: packetbuf.AAC, Kind: packetbuf.Key, Payload: []byte{0x21, 0x10, 0x04, 0x60, 0x8c}},
	} {
		p.Track, p.Flags = packetbuf.Audio, packetbuf.Bridged
		if body, err := AppendBody(nil, p); err != nil || string(body) != want {
			t.Errorf("%s %s: got %x, %v, want %x", p.Codec, p.Kind, body, err, want)
		}
	}
	for _, c := range AudioCodecs() {
		if c == packetbuf.Opus || !CanCarry(c) {
			t.Errorf("got %s among the codecs of all players", c)
		}
	}
}
