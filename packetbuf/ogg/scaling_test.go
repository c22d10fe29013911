package ogg

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

// appendRawPage appends a page with these lacing values and as many bytes of body as they declare.
func appendRawPage(dst []byte, flags byte, serial, sequence uint32, laces []byte) []byte {
	start := len(dst)
	dst = append(dst, capture...)
	dst = append(dst, 0, flags)
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, serial)
	dst = binary.LittleEndian.AppendUint32(dst, sequence)
	dst = append(dst, 0, 0, 0, 0, byte(len(laces)))
	dst = append(dst, laces...)
	for _, n := range laces {
		dst = append(dst, make([]byte, n)...)
	}
	binary.LittleEndian.PutUint32(dst[start+22:], checksum(0, dst[start:]))
	return dst
}

func TestReaderWorkIsLinear(t *testing.T) {
	empty := make([]byte, maxLaces)
	for name, page := range map[string]func(dst []byte, n uint32) []byte{
		"pages of one byte":       func(dst []byte, n uint32) []byte { return appendRawPage(dst, 0, 0, n, []byte{1}) },
		"pages without packets":   func(dst []byte, n uint32) []byte { return appendRawPage(dst, 0, 0, n, nil) },
		"empty packets":           func(dst []byte, n uint32) []byte { return appendRawPage(dst, 0, 0, n, empty) },
		"pages of others":         func(dst []byte, n uint32) []byte { return appendRawPage(dst, 0, 7, n, []byte{1}) },
		"a packet over all pages": func(dst []byte, n uint32) []byte { return appendRawPage(dst, continued, 0, n, []byte{segmentSize}) },
	} {
		t.Run(name, func(t *testing.T) {
			scaling.Linear(t, 1<<12, func(size int) func() {
				head, err := NewWriter(codec.OpusHead{Channels: 2, Rate: 48000}).Append(nil, []byte{0xfc})
				if err != nil {
					t.Fatal(err)
				}
				in := head
				first := uint32(bytes.Count(head, []byte(capture))) //nolint:gosec // small
				for n := first; len(in) < size; n++ {
					if name == "a packet over all pages" && n == first {
						in = appendRawPage(in, 0, 0, n, []byte{segmentSize})
						continue
					}
					in = page(in, n)
				}
				return func() {
					r := NewReader(bytes.NewReader(in))
					for {
						if _, err := r.Next(); err != nil {
							return
						}
					}
				}
			})
		})
	}
}
