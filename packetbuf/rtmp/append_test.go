package rtmp

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendMessageAgainstDemuxer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := drawMessages(t)
		chunk := rapid.SampledFrom([]int{1, 50, 128, 4096}).Draw(t, "chunk")
		var wire []byte
		for _, m := range messages {
			cut := rapid.IntRange(0, len(m.Payload)).Draw(t, "cut")
			before := len(wire)
			wire = AppendMessage(wire, m.Header, chunk, m.Payload[:cut], m.Payload[cut:])
			if got, want := len(wire)-before, MessageSize(m.Header, chunk, len(m.Payload)); got != want {
				t.Fatalf("got %d bytes, want MessageSize %d", got, want)
			}
		}
		d := NewDemuxer(DefaultLimits())
		d.chunkSize = chunk
		got, err := demuxAll(d, wire, rapid.IntRange(1, 500).Draw(t, "piece"))
		if err != nil || !slices.EqualFunc(got, messages, sameMessage) {
			t.Fatalf("got %v, %v, want %v", headers(got), err, headers(messages))
		}
	})
}

func TestAppendMessageBytes(t *testing.T) {
	tests := []struct {
		name string
		got  []byte
		want []byte
	}{
		{
			"short", AppendMessage(nil, Header{ChunkStream: 3, Stream: 1, Type: 20, Timestamp: 5}, 2, []byte{7, 8, 9}),
			[]byte{3, 0, 0, 5, 0, 0, 3, 20, 1, 0, 0, 0, 7, 8, 0xc3, 9},
		},
		{
			"extended", AppendMessage(nil, Header{ChunkStream: 3, Stream: 1, Type: 9, Timestamp: 0xffffff}, 2, []byte{7, 8, 9}),
			[]byte{3, 0xff, 0xff, 0xff, 0, 0, 3, 9, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 7, 8, 0xc3, 0, 0xff, 0xff, 0xff, 9},
		},
		{"two-byte chunk stream", AppendMessage(nil, Header{ChunkStream: 319, Type: 8}, 128), []byte{0, 255, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0}},
		{"three-byte chunk stream", AppendMessage(nil, Header{ChunkStream: 320, Type: 8}, 128), []byte{1, 0, 1, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0}},
		{"ping", AppendUserControl(nil, EventPingRequest, 0x01020304), []byte{2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 1, 2, 3, 4}},
		{"ack", AppendAck(nil, 9), []byte{2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 9}},
		{"window", AppendWindowAckSize(nil, 9), []byte{2, 0, 0, 0, 0, 0, 4, 5, 0, 0, 0, 0, 0, 0, 0, 9}},
		{"bandwidth", AppendSetPeerBandwidth(nil, 9, LimitDynamic), []byte{2, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 0, 0, 0, 0, 9, 2}},
		{"too long for 24 bits", AppendMessage(nil, Header{ChunkStream: 3}, 128, make([]byte, MaxPayload+1)), nil},
	}
	for _, tt := range tests {
		if !bytes.Equal(tt.got, tt.want) {
			t.Errorf("%s: got % x, want % x", tt.name, tt.got, tt.want)
		}
	}
}

func TestControlParsers(t *testing.T) {
	if e, v, err := ParseUserControl([]byte{0, 7, 1, 2, 3, 4}); e != EventPingResponse || v != 0x01020304 || err != nil {
		t.Error(e, v, err)
	}
	if e, _, err := ParseUserControl([]byte{0, 32}); e != 32 || err != nil {
		t.Error(e, err)
	}
	if _, _, err := ParseUserControl([]byte{0}); err == nil {
		t.Error("user control of one byte: got no error")
	}
	if v, err := ParseUint32([]byte{0, 0, 1, 0, 2}); v != 256 || err != nil {
		t.Error(v, err)
	}
	if _, err := ParseUint32(nil); err == nil {
		t.Error("no bytes as a number: got no error")
	}
}
