package whip

import (
	"testing"

	"github.com/pion/rtp"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

// Parts of the input that do not affect each other must not be compared, scanned or copied again for
// each later part.
func TestAssemblerWorkIsLinear(t *testing.T) {
	tests := []struct {
		name    string
		codec   packetbuf.Codec
		payload func(i int) []byte
		marker  func(i int) bool
	}{
		{"distinct SPS in STAP-A", packetbuf.H264, func(i int) []byte { return stapA(i, 0x67) }, alwaysFalse},
		{"distinct PPS in STAP-A", packetbuf.H264, func(i int) []byte { return stapA(i, 0x68) }, alwaysFalse},
		{"SPS marked as access units", packetbuf.H264, func(i int) []byte { return []byte{0x67, byte(i >> 8), byte(i)} }, alwaysTrue},
		{"short fragments of H.264", packetbuf.H264, fragment([]byte{28, 0x85}, []byte{28, 0x05}), alwaysFalse},
		{"VPS marked as access units", packetbuf.HEVC, func(i int) []byte { return []byte{32 << 1, 1, byte(i >> 8), byte(i)} }, alwaysTrue},
		{"short fragments of HEVC", packetbuf.HEVC, fragment([]byte{49 << 1, 1, 0x80 | 19}, []byte{49 << 1, 1, 19}), alwaysFalse},
		{"short fragments of AV1", packetbuf.AV1, fragment([]byte{0x58, 0x30}, []byte{0xd0}), alwaysFalse},
		{"short fragments of VP8", packetbuf.VP8, fragment([]byte{0x10}, []byte{0}), alwaysFalse},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scaling.Linear(t, 1<<14, func(size int) func() {
				a := newAssembler(formats[tt.codec])
				var packets []*rtp.Packet
				for n, i := 0, 0; n < size; i++ {
					payload := tt.payload(i)
					packets = append(packets, &rtp.Packet{Header: rtp.Header{Marker: tt.marker(i), Timestamp: 1}, Payload: payload})
					n += len(payload)
				}
				end := &rtp.Packet{Header: rtp.Header{Marker: true, Timestamp: 1}, Payload: []byte{0x65, 0x80, 1, 2}}
				return func() {
					for _, p := range append(packets, end) {
						_ = a.format.startAt(p.Payload)
						_, _ = a.push(p, false)
					}
				}
			})
		})
	}
}

func alwaysFalse(int) bool { return false }
func alwaysTrue(int) bool  { return true }

// stapA returns a STAP-A of NAL units of four bytes that occur in no other.
func stapA(i int, header byte) []byte {
	b := []byte{24}
	for j := range 100 {
		n := i*100 + j
		b = append(b, 0, 4, header, byte(n>>16), byte(n>>8), byte(n))
	}
	return b
}

// fragment returns payloads of a unit in fragments of 40 bytes.
func fragment(first, rest []byte) func(i int) []byte {
	body := make([]byte, 40)
	return func(i int) []byte {
		head := rest
		if i == 0 {
			head = first
		}
		return append(append([]byte(nil), head...), body...)
	}
}
