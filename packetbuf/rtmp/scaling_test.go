package rtmp_test

import (
	"encoding/binary"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

// chunked returns about size bytes of messages, with the given message and chunk sizes in bytes.
func chunked(size, message, chunk int) []byte {
	out := rtmp.AppendSetChunkSize(nil, uint32(chunk)) //nolint:gosec // small
	body := make([]byte, message)
	for len(out) < size {
		h := rtmp.Header{ChunkStream: 6, Stream: 1, Type: rtmp.TypeVideo}
		out = rtmp.AppendMessage(out, h, chunk, body)
	}
	return out
}

// interleaved returns chunks of one byte of large messages, in turn from each chunk stream.
func interleaved(size int) []byte {
	const streams = 30
	out := rtmp.AppendSetChunkSize(nil, 1)
	begun := map[byte]bool{}
	for i := 0; len(out) < size; i++ {
		id := byte(3 + i%streams)
		if !begun[id] {
			begun[id] = true
			out = append(out, id, 0, 0, 0, 0x07, 0xff, 0xff, rtmp.TypeVideo, 1, 0, 0, 0, 0xaa)
			continue
		}
		out = append(out, 0xc0|id, 0xaa)
	}
	return out
}

// replacedMessages returns headers of messages that are each replaced by the next at once.
func replacedMessages(size int) (out []byte) {
	for len(out) < size {
		out = append(out, 6, 0, 0, 0, 0x07, 0xff, 0xff, rtmp.TypeVideo, 1, 0, 0, 0)
		out = append(out, make([]byte, 128)...)
	}
	return out
}

func TestDemuxerWorkIsLinear(t *testing.T) {
	limits := rtmp.DefaultLimits()
	limits.Buffered = 64 << 20
	for name, wire := range map[string]func(size int) []byte{
		"one-byte chunks of a large message": func(size int) []byte { return chunked(size, size/2, 1) },
		"one-byte messages":                  func(size int) []byte { return chunked(size, 1, 128) },
		"empty messages":                     func(size int) []byte { return chunked(size, 0, 128) },
		"interleaved one-byte chunks":        interleaved,
		"messages that are begun anew":       replacedMessages,
	} {
		for _, reads := range []int{1, 1 << 30} {
			t.Run(name, func(t *testing.T) {
				scaling.Linear(t, 1<<13, func(size int) func() {
					in, d := wire(size), rtmp.NewDemuxer(limits)
					return func() {
						for rest := in; len(rest) > 0; {
							p := rest[:min(reads, len(rest))]
							rest = rest[len(p):]
							for len(p) > 0 {
								var err error
								if p, _, err = d.Push(p); err != nil {
									t.Error(err)
									return
								}
							}
						}
					}
				})
			})
		}
	}
}

func TestAMFWorkIsLinear(t *testing.T) {
	repeat := func(unit ...byte) func(size int) []byte {
		return func(size int) (out []byte) {
			for len(out) < size {
				out = append(out, unit...)
			}
			return out
		}
	}
	// object wraps repeated properties in an object, without its end if open is set.
	object := func(open bool, unit ...byte) func(size int) []byte {
		return func(size int) []byte {
			out := append([]byte{0x03}, repeat(unit...)(size)...)
			if open {
				return out
			}
			return append(out, 0, 0, 9)
		}
	}
	for name, wire := range map[string]func(size int) []byte{
		"nulls":                        repeat(0x05),
		"empty strings":                repeat(0x02, 0, 0),
		"empty objects":                repeat(0x03, 0, 0, 9),
		"empty arrays":                 repeat(0x0a, 0, 0, 0, 0),
		"properties of one name":       object(false, 0, 1, 'a', 0x05),
		"properties of an open object": object(true, 0, 1, 'a', 0x05),
		"objects within an object":     object(false, 0, 1, 'a', 0x03, 0, 0, 9),
		"deep objects that never end":  repeat(0x03, 0, 1, 'a'),
		"deep arrays":                  repeat(0x0a, 0, 0, 0, 1),
		"arrays that promise too much": repeat(0x0a, 0, 0, 1, 0),
		"an array of all": func(size int) []byte {
			return append(binary.BigEndian.AppendUint32([]byte{0x0a}, uint32(size)), repeat(0x05)(size)...)
		}, //nolint:gosec // small
		"long strings without content": repeat(0x0c, 0, 0, 0xff, 0xff),
	} {
		t.Run(name, func(t *testing.T) {
			scaling.Linear(t, 1<<12, func(size int) func() {
				in := wire(size)
				return func() {
					values, err := rtmp.DecodeAMF(in)
					if known := rtmp.ValidateAMF(in); (known == nil) != (err == nil) {
						t.Errorf("decoded: %v, validated: %v", err, known)
					}
					for _, v := range values {
						_ = rtmp.Properties(v).Find("b")
					}
					_, _ = rtmp.ParseCommand(in)
				}
			})
		})
	}
}

func TestAggregateWorkIsLinear(t *testing.T) {
	scaling.Linear(t, 1<<12, func(size int) func() {
		m := &rtmp.Message{Header: rtmp.Header{Type: rtmp.TypeAggregate}}
		for len(m.Payload) < size {
			m.Payload = rtmp.AppendAggregated(m.Payload, rtmp.Message{Header: rtmp.Header{Type: rtmp.TypeAudio}, Payload: []byte{0xaf}})
		}
		return func() {
			if err := rtmp.SplitAggregate(m, func(*rtmp.Message) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	})
}
