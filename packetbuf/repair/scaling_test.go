package repair_test

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/repair"
	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

// An access unit of many small NAL units, and many messages of one NAL unit.
func TestVideoWorkIsLinear(t *testing.T) {
	unit := map[string]func(i int) []byte{
		"slices":                  func(int) []byte { return []byte{0x65, 0x40, 1} },
		"distinct SPS":            func(i int) []byte { return []byte{0x67, 66, byte(i >> 16), byte(i >> 8), byte(i)} },
		"distinct PPS":            func(i int) []byte { return []byte{0x68, byte(i >> 16), byte(i >> 8), byte(i)} },
		"SEI":                     func(int) []byte { return []byte{0x06, 5, 1, 1, 0x80} },
		"SEI of many messages":    func(int) []byte { return []byte{0x06, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0x80} },
		"filler behind a picture": func(int) []byte { return []byte{0x0c, 0xff, 0x80} },
		"empty":                   func(int) []byte { return nil },
		"start codes":             func(int) []byte { return []byte{0x65, 0, 0, 1, 0x65, 0, 0, 1, 0x41, 0, 0, 1} },
		"zeros":                   func(int) []byte { return make([]byte, 64) },
	}
	for name, make := range unit {
		for _, apart := range []bool{false, true} {
			if apart {
				name += ", a message each"
			}
			t.Run(name, func(t *testing.T) {
				scaling.Linear(t, 1<<13, func(size int) func() {
					messages := messagesOf(make, size, apart)
					v := repair.NewVideo(&packetbuf.RepairCounts{})
					return func() {
						var out []*packetbuf.Packet
						for _, p := range messages {
							out = v.Take(out[:0], time.Time{}, p, packetbuf.Key)
						}
						v.Flush(out[:0])
					}
				})
			})
		}
	}
}

// messagesOf returns messages of about size bytes in total: a frame, followed by units in one message
// or in a message each.
func messagesOf(unit func(i int) []byte, size int, apart bool) []*packetbuf.Packet {
	message := func(payload []byte) *packetbuf.Packet {
		return &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Payload: payload}
	}
	var au []byte
	out := []*packetbuf.Packet{message(codec.AppendNAL(nil, []byte{0x65, 0x88, 0x80, 0x10}))}
	for i, n := 0, 0; n < size; i++ {
		nal := unit(i)
		n += 4 + len(nal)
		if apart {
			out = append(out, message(codec.AppendNAL(nil, nal)))
			continue
		}
		au = codec.AppendNAL(au, nal)
	}
	if !apart {
		out = append(out, message(au))
	}
	return out
}
