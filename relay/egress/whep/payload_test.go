package whep

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pion/rtp/codecs"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// unit returns a NAL unit of H.264 of n bytes: a header byte and noise. Its slice type is P.
func unit(header byte, n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(header), uint64(n)))
	b := []byte{header, 0b1_00110_11}
	for len(b) < n {
		b = append(b, byte(1+rng.IntN(255)))
	}
	return b[:n]
}

const (
	slice     = 2<<5 | codec.NALSlice
	idr       = 3<<5 | codec.NALIDR
	sei       = codec.NALSEI
	sps       = 3<<5 | codec.NALSPS
	pps       = 3<<5 | codec.NALPPS
	delimiter = codec.NALDelimiter
	filler    = codec.NALFiller
)

// avc returns an access unit with lengths of size bytes.
func avc(size int, nals ...[]byte) []byte {
	var out []byte
	for _, nal := range nals {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(nal)))
		out = append(append(out, length[4-size:]...), nal...)
	}
	return out
}

// h264 returns a configuration, and a function that makes frames, of a stream with lengths of
// size bytes.
func h264(t testing.TB, size int) (config *packetbuf.Packet, picture func(packetbuf.Kind, ...[]byte) *packetbuf.Packet) {
	t.Helper()
	config = gen.New(gen.Options{NoAudio: true, NoMetadata: true}).Next()
	record, err := codec.ParseAVCConfig(config.Payload)
	if err != nil {
		t.Fatal(err)
	}
	record.LengthSize = size
	config = &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: record.Append(nil)}
	return config, func(kind packetbuf.Kind, nals ...[]byte) *packetbuf.Packet {
		return &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: kind, Payload: avc(size, nals...)}
	}
}

// sets returns the parameter sets of a configuration.
func sets(t testing.TB, config *packetbuf.Packet) [][]byte {
	t.Helper()
	record, err := codec.ParseAVCConfig(config.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(record.SPS, record.PPS)
}

// payloadsOf returns the payloads of a packet.
func payloadsOf(t testing.TB, p, config *packetbuf.Packet) (out [][]byte) {
	t.Helper()
	for all := payloader(config)(p); len(all) > 0; {
		var one []byte
		one, all = nextPayload(all)
		if len(one) == 0 || len(one) > maxPayload {
			t.Fatalf("got a payload of %d bytes", len(one))
		}
		out = append(out, one)
	}
	return out
}

// depacketizer is implemented by pion's depacketizers.
type depacketizer interface {
	Unmarshal([]byte) ([]byte, error)
}

// back reassembles a frame from payloads as a receiver does. NAL units have 4-byte lengths.
func back(t testing.TB, c packetbuf.Codec, payloads [][]byte) []byte {
	t.Helper()
	var d depacketizer
	switch c {
	case packetbuf.H264:
		d = &codecs.H264Packet{IsAVC: true}
	case packetbuf.HEVC:
		d = &codecs.H265Depacketizer{}
	case packetbuf.VP8:
		d = &codecs.VP8Packet{}
	case packetbuf.VP9:
		d = &codecs.VP9Packet{}
	case packetbuf.AV1:
		d = &codecs.AV1Depacketizer{}
	default:
		d = &codecs.OpusPacket{}
	}
	var out []byte
	for i, one := range payloads {
		b, err := d.Unmarshal(slices.Clone(one))
		if err != nil {
			t.Fatalf("payload %d of %d: %v: % x", i, len(payloads), err, one[:min(8, len(one))])
		}
		out = append(out, b...)
	}
	if c == packetbuf.HEVC {
		return codec.AppendAnnexB(nil, out)
	}
	return out
}

func TestH264(t *testing.T) {
	config, _ := h264(t, 4)
	own := sets(t, config)
	other := [][]byte{unit(sps, 20), unit(pps, 6)}
	bSlice := []byte{codec.NALSlice, 0b1_00111_11, 0x88, 0x99}
	tests := []struct {
		name string
		kind packetbuf.Kind
		in   [][]byte
		want [][]byte
	}{
		{"a small frame", packetbuf.Delta, [][]byte{unit(slice, 100)}, [][]byte{unit(slice, 100)}},
		{"a keyframe gets the parameter sets", packetbuf.Key, [][]byte{unit(idr, 3000)}, append(slices.Clone(own), unit(idr, 3000))},
		{"one with its own does not", packetbuf.Key, [][]byte{other[0], other[1], unit(idr, 30)}, [][]byte{other[0], other[1], unit(idr, 30)}},
		{"one with half of its own does", packetbuf.Key, [][]byte{other[1], unit(idr, 30)}, append(slices.Clone(own), other[1], unit(idr, 30))},
		{"behind a delimiter", packetbuf.Key, [][]byte{{delimiter, 0xf0}, unit(sei, 12), unit(idr, 30)}, append(slices.Clone(own), unit(sei, 12), unit(idr, 30))},
		{"filler and ends", packetbuf.Delta, [][]byte{unit(slice, 50), unit(filler, 900), {codec.NALEndSeq}, {codec.NALEndStream}}, [][]byte{unit(slice, 50)}},
		{"empty units", packetbuf.Delta, [][]byte{{}, unit(slice, 50), {}}, [][]byte{unit(slice, 50)}},
		{"types that RTP has for itself", packetbuf.Delta, [][]byte{unit(28, 50), unit(24, 50), unit(0, 50), unit(slice, 9)}, [][]byte{unit(slice, 9)}},
		{"slices", packetbuf.Delta, [][]byte{unit(slice, 1500), unit(slice, 1160), unit(slice, 1161)}, [][]byte{unit(slice, 1500), unit(slice, 1160), unit(slice, 1161)}},
		{"a B-frame", packetbuf.Disposable, [][]byte{bSlice}, nil},
		{"a referenced B-frame", packetbuf.Delta, [][]byte{{delimiter, 0xf0}, {2<<5 | codec.NALSlice, 0b1_010_1_111, 0x88}}, nil},
		{"disposable, but no B", packetbuf.Disposable, [][]byte{unit(codec.NALSlice, 40)}, [][]byte{unit(codec.NALSlice, 40)}},
		{"nothing", packetbuf.Delta, nil, nil},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 2, 4} {
			if size == 1 && len(avc(4, tt.in...)) > 255 {
				continue
			}
			config, picture := h264(t, size)
			got := back(t, packetbuf.H264, payloadsOf(t, picture(tt.kind, tt.in...), config))
			if want := avc(4, tt.want...); !bytes.Equal(got, want) {
				t.Errorf("%s, lengths of %d bytes: got % x, want % x", tt.name, size, head(got), head(want))
			}
		}
	}
}

func head(b []byte) []byte { return b[:min(len(b), 40)] }

// A delta frame is sent also if no configuration has arrived.
func TestH264WithoutConfig(t *testing.T) {
	_, picture := h264(t, 4)
	for _, kind := range []packetbuf.Kind{packetbuf.Key, packetbuf.Delta} {
		p := picture(kind, unit(idr, 2000))
		if got := back(t, packetbuf.H264, payloadsOf(t, p, nil)); !bytes.Equal(got, p.Payload) {
			t.Errorf("%v: got % x", kind, head(got))
		}
	}
}

// All fragments but the last have the same size, so that one system call can send them, and none
// exceeds the maximum.
func TestFragmentSizes(t *testing.T) {
	_, picture := h264(t, 4)
	for n := maxPayload - 5; n < 4*maxPayload; n++ {
		p := picture(packetbuf.Delta, unit(slice, n))
		all := payloadsOf(t, p, nil)
		if want := 1 + (n-1)/(maxPayload-2); n > maxPayload && (len(all) < want || len(all) > want+1) {
			t.Fatalf("%d bytes: got %d payloads", n, len(all))
		}
		for i, one := range all {
			if i < len(all)-1 && len(one) != len(all[0]) || len(one) > len(all[0]) {
				t.Fatalf("%d bytes: payload %d of %d has %d bytes, the first %d", n, i, len(all), len(one), len(all[0]))
			}
			if len(all) > 1 && (one[1]&0x80 != 0) != (i == 0) || len(all) > 1 && (one[1]&0x40 != 0) != (i == len(all)-1) {
				t.Fatalf("%d bytes: payload %d of %d begins % x", n, i, len(all), one[:2])
			}
		}
		if got := back(t, packetbuf.H264, all); !bytes.Equal(got, p.Payload) {
			t.Fatalf("%d bytes: got %d bytes back", n, len(got))
		}
	}
}

// Parameter sets of x265 for 64x64.
var (
	hevcVPS = unhex("40010c01ffff01600000030090000003000003001e959409")
	hevcSPS = unhex("42010101600000030090000003000003001ea0208105965654a4c2f0168080000003008000000f04")
	hevcPPS = unhex("4401c073c089")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestHEVC(t *testing.T) {
	nal := func(kind byte, n int) []byte { return append([]byte{kind << 1, 1}, unit(0x66, n-2)...) }
	const trail, idr, aud, fd, fu = 1, 19, 35, 38, 49
	record, err := codec.NewHEVCConfig(codec.HEVCSets{{hevcVPS}, {hevcSPS}, {hevcPPS}})
	if err != nil {
		t.Fatal(err)
	}
	config := &packetbuf.Packet{Codec: packetbuf.HEVC, Kind: packetbuf.Config, Payload: record}
	own := [][]byte{hevcVPS, hevcSPS, hevcPPS}
	tests := []struct {
		name     string
		kind     packetbuf.Kind
		in, want [][]byte
	}{
		{"a frame", packetbuf.Delta, [][]byte{nal(aud, 3), nal(trail, 5000), nal(fd, 30)}, [][]byte{nal(trail, 5000)}},
		{"a keyframe", packetbuf.Key, [][]byte{nal(idr, 1160)}, append(slices.Clone(own), nal(idr, 1160))},
		{"one with its own sets", packetbuf.Key, append(slices.Clone(own), nal(idr, 1161)), append(slices.Clone(own), nal(idr, 1161))},
		{"a type that RTP has for itself", packetbuf.Delta, [][]byte{nal(fu, 40), nal(trail, 40)}, [][]byte{nal(trail, 40)}},
	}
	for _, tt := range tests {
		p := &packetbuf.Packet{Codec: packetbuf.HEVC, Kind: tt.kind, Payload: avc(4, tt.in...)}
		if got, want := back(t, packetbuf.HEVC, payloadsOf(t, p, config)), avc(4, tt.want...); !bytes.Equal(got, want) {
			t.Errorf("%s: got % x, want % x", tt.name, head(got), head(want))
		}
		short := &packetbuf.Packet{Codec: packetbuf.HEVC, Kind: packetbuf.Config, Payload: slices.Clone(record)}
		short.Payload[21] = short.Payload[21]&^3 | 1
		p = &packetbuf.Packet{Codec: packetbuf.HEVC, Kind: tt.kind, Payload: avc(2, tt.in...)}
		if got, want := back(t, packetbuf.HEVC, payloadsOf(t, p, short)), avc(4, tt.want...); !bytes.Equal(got, want) {
			t.Errorf("%s, lengths of 2 bytes: got % x, want % x", tt.name, head(got), head(want))
		}
	}
}

// Frames of codecs without NAL units are received unchanged.
func TestPlain(t *testing.T) {
	for _, c := range []packetbuf.Codec{packetbuf.VP8, packetbuf.VP9, packetbuf.Opus} {
		for _, n := range []int{1, 50, 1158, 1159, 1160, 1161, 2318, 2319, 70000} {
			for _, kind := range []packetbuf.Kind{packetbuf.Key, packetbuf.Delta} {
				p := &packetbuf.Packet{Codec: c, Kind: kind, Payload: unit(0x11, n)}
				all := payloadsOf(t, p, nil)
				if c == packetbuf.Opus && n > maxPayload {
					if all != nil {
						t.Errorf("%s of %d bytes was sent", c, n)
					}
					continue
				}
				if got := back(t, c, all); !bytes.Equal(got, p.Payload) {
					t.Errorf("%s of %d bytes: got %d bytes back", c, n, len(got))
				}
				checkDescriptors(t, c, kind, all)
			}
		}
	}
	for _, c := range []packetbuf.Codec{packetbuf.AAC, packetbuf.MP3, packetbuf.NoCodec} {
		if all := payloadsOf(t, &packetbuf.Packet{Codec: c, Payload: unit(1, 50)}, nil); all != nil {
			t.Errorf("%s was sent", c)
		}
	}
	for _, c := range []packetbuf.Codec{packetbuf.H264, packetbuf.HEVC, packetbuf.VP8, packetbuf.VP9, packetbuf.AV1} {
		if all := payloadsOf(t, &packetbuf.Packet{Codec: c}, nil); all != nil {
			t.Errorf("empty frame of %s was sent", c)
		}
	}
}

// checkDescriptors checks the payload descriptors of a frame.
func checkDescriptors(t *testing.T, c packetbuf.Codec, kind packetbuf.Kind, all [][]byte) {
	t.Helper()
	for i, one := range all {
		switch c {
		case packetbuf.VP8:
			var p codecs.VP8Packet
			if _, err := p.Unmarshal(one); err != nil || (p.S == 1) != (i == 0) || p.PID != 0 {
				t.Errorf("VP8 payload %d: got %+v, error %v", i, p, err)
			}
		case packetbuf.VP9:
			var p codecs.VP9Packet
			if _, err := p.Unmarshal(one); err != nil || p.B != (i == 0) || p.E != (i == len(all)-1) || p.P != (kind != packetbuf.Key) || p.F {
				t.Errorf("VP9 payload %d: got %+v, error %v", i, p, err)
			}
		}
	}
}

// All viewers share the payloads, which are serialized once.
func TestPayloadsAreMadeOnce(t *testing.T) {
	config, picture := h264(t, 4)
	p := picture(packetbuf.Key, unit(idr, 5000))
	first := p.Serialized(packetbuf.RTPPayloads, payloader(config))
	for range 3 {
		if again := p.Serialized(packetbuf.RTPPayloads, payloader(config)); &again[0] != &first[0] {
			t.Fatal("payloads were serialized twice")
		}
	}
}

// H.264 is received unchanged, whatever its units contain, and nothing panics.
func FuzzPayloads(f *testing.F) {
	// Short, because the fuzzer tries to shorten what it finds, and with 3,000 bytes did nothing
	// else.
	f.Add(byte(packetbuf.H264), byte(packetbuf.Key), byte(4), avc(4, unit(idr, 1170), unit(sei, 30)))
	f.Add(byte(packetbuf.H264), byte(packetbuf.Delta), byte(2), avc(2, unit(slice, 40), unit(slice, 30)))
	f.Add(byte(packetbuf.HEVC), byte(packetbuf.Key), byte(4), avc(4, append([]byte{19 << 1, 1}, unit(9, 1170)...), []byte{2, 1, 3}, []byte{2, 1, 4}))
	f.Add(byte(packetbuf.AV1), byte(packetbuf.Key), byte(0), []byte{0x12, 0, 0x0a, 1, 0, 0x32, 3, 1, 2, 3})
	f.Add(byte(packetbuf.VP9), byte(packetbuf.Delta), byte(0), unit(1, 1170))
	configs := map[byte]*packetbuf.Packet{}
	for _, size := range []byte{1, 2, 4} {
		configs[size], _ = h264(f, int(size))
	}
	f.Fuzz(func(t *testing.T, c, kind, size byte, payload []byte) {
		p := &packetbuf.Packet{Codec: packetbuf.Codec(c), Kind: packetbuf.Kind(kind), Payload: payload}
		if size != 1 && size != 2 {
			size = 4
		}
		config := configs[size]
		all := payloadsOf(t, p, config)
		if most := 2*(len(payload)+2*len(config.Payload))/maxPayload + maxSparse + 2; len(all) > most {
			t.Fatalf("got %d packets for %d bytes", len(all), len(payload))
		}
		if p.Codec != packetbuf.H264 {
			return
		}
		var want [][]byte
		for rest := payload; len(rest) > 0; {
			nal, more, err := codec.NextNAL(rest, int(size))
			if err != nil {
				break
			}
			if rest = more; sendable(packetbuf.H264, nal) {
				want = append(want, nal)
			}
		}
		got := back(t, packetbuf.H264, all)
		if p.Kind == packetbuf.Key {
			got = bytes.TrimPrefix(got, avc(4, sets(t, config)...))
		} else if codec.AVCHasB(avc(4, want...)) {
			want = nil
		}
		if p.Kind != packetbuf.Config && !bytes.Equal(got, avc(4, want...)) {
			t.Fatalf("got % x, want % x", head(got), head(avc(4, want...)))
		}
	})
}

// A frame of very small units does not need a packet for each of them.
func TestSmallUnitsShareAPacket(t *testing.T) {
	const n = 20_000
	for _, tt := range []struct {
		codec packetbuf.Codec
		nal   []byte
	}{
		{packetbuf.H264, []byte{slice, 0x88}},
		{packetbuf.HEVC, []byte{2, 1, 0x80}},
	} {
		p := &packetbuf.Packet{Codec: tt.codec, Kind: packetbuf.Delta, Payload: avc(4, slices.Repeat([][]byte{tt.nal}, n)...)}
		all := payloadsOf(t, p, nil)
		if most := 2*len(p.Payload)/maxPayload + 1; len(all) > most {
			t.Errorf("%s: got %d packets for %d units of %d bytes, want at most %d", tt.codec, len(all), n, len(tt.nal), most)
		}
		if got := back(t, tt.codec, all); !bytes.Equal(got, p.Payload) {
			t.Errorf("%s: got %d bytes back, want %d", tt.codec, len(got), len(p.Payload))
		}
	}
	// A sequence header begins a packet of its own.
	p := &packetbuf.Packet{Codec: packetbuf.AV1, Kind: packetbuf.Delta, Payload: bytes.Repeat([]byte{0x0a, 1, 0}, n)}
	if all := payloadsOf(t, p, nil); all != nil {
		t.Errorf("AV1: got %d packets for %d sequence headers, want none", len(all), n)
	}
}
