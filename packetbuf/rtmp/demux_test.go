package rtmp

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// all pushes wire in pieces of at most size and returns copies of the messages.
func all(d *Demuxer, wire []byte, size int) (got []Message, err error) {
	for piece := range slices.Chunk(wire, size) {
		for len(piece) > 0 {
			var m *Message
			if piece, m, err = d.Push(piece); err != nil {
				return got, err
			}
			if m != nil {
				got = append(got, *m)
			}
		}
	}
	return got, nil
}

func same(a, b Message) bool {
	return a.Header == b.Header && bytes.Equal(a.Payload, b.Payload)
}

func drawMessages(t *rapid.T) []Message {
	kinds := []uint8{TypeAck, TypeAudio, TypeVideo, TypeDataAMF0, TypeCommandAMF0, TypeAggregate}
	ids := []uint32{3, 4, 63, 64, 319, 320, 65599}
	clock := rapid.SampledFrom([]uint32{0, 1000, extended - 40, extended, 1<<32 - 60}).Draw(t, "clock")
	var messages []Message
	for range rapid.IntRange(1, 12).Draw(t, "messages") {
		clock += rapid.SampledFrom([]uint32{0, 0, 40, 40, extended - 1, extended, extended + 5}).Draw(t, "delta")
		h := Header{
			ChunkStream: rapid.SampledFrom(ids).Draw(t, "id"),
			Stream:      rapid.SampledFrom([]uint32{0, 1, 2}).Draw(t, "stream"),
			Type:        rapid.SampledFrom(kinds).Draw(t, "type"),
			Timestamp:   clock,
		}
		n := rapid.SampledFrom([]int{0, 1, 3, 4, 40, 127, 128, 129, 5000}).Draw(t, "size")
		if h.Type == TypeAck {
			n = min(n, 4)
		}
		// 0xee begins no extended timestamp that is drawn here: the two kinds of sender
		// can be told apart.
		messages = append(messages, Message{Header: h, Payload: bytes.Repeat([]byte{0xee}, n)})
	}
	for i := range messages {
		for j := range messages[i].Payload {
			messages[i].Payload[j] = 0xe0 | byte(i+j)&0x0f
		}
	}
	return messages
}

func TestDemuxerAgainstAMuxer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &muxer{
			chunkSize: rapid.SampledFrom([]int{1, 7, 128, 4096}).Draw(t, "chunk"),
			repeat:    rapid.Bool().Draw(t, "repeat"),
			last:      map[uint32]*sent{},
		}
		wire, want := m.interleave(t, drawMessages(t))
		d := NewDemuxer(DefaultLimits())
		d.chunkSize = m.chunkSize
		got, err := all(d, wire, rapid.IntRange(1, 300).Draw(t, "piece"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, same) {
			t.Fatalf("got %d messages, want %d\n%v\n%v", len(got), len(want), headers(got), headers(want))
		}
		if d.Buffered() != 0 {
			t.Fatalf("%d bytes stay behind", d.Buffered())
		}
	})
}

func headers(ms []Message) (hs []Header) {
	for _, m := range ms {
		hs = append(hs, m.Header)
	}
	return hs
}

// message is a type 0 chunk in the eyes of a demuxer with the default chunk size.
func message(h Header, payload ...byte) []byte {
	return AppendMessage(nil, h, DefaultChunkSize, payload)
}

func TestDemuxerRules(t *testing.T) {
	video := Header{ChunkStream: 6, Stream: 1, Type: TypeVideo, Timestamp: 100}
	long := bytes.Repeat([]byte{0xaa}, 200)
	tests := []struct {
		name string
		wire []byte
		want []Header
		err  error
	}{
		{"a message of no bytes", message(video), []Header{video}, nil},
		{
			"type 3 behind type 0 repeats its timestamp as delta",
			append(message(video, 1), 3<<6|6, 2),
			[]Header{video, at(video, 200)},
			nil,
		},
		{
			"type 3 behind type 2 repeats its delta",
			append(message(video, 1), 2<<6|6, 0, 0, 40, 2, 3<<6|6, 3),
			[]Header{video, at(video, 140), at(video, 180)},
			nil,
		},
		{
			"set chunk size holds from the next chunk on",
			append(AppendSetChunkSize(nil, 4096), AppendMessage(nil, video, 4096, long)...),
			[]Header{video},
			nil,
		},
		{
			"chunk size beyond the longest message",
			append(AppendSetChunkSize(nil, 0x7fffffff), AppendMessage(nil, video, MaxChunkSize, long)...),
			[]Header{video},
			nil,
		},
		{"chunk size 0", AppendSetChunkSize(nil, 0), nil, ErrBadControl},
		{"chunk size with its first bit set", AppendSetChunkSize(nil, 1<<31), nil, ErrBadControl},
		{"set chunk size without a size", message(Header{ChunkStream: 2, Type: TypeSetChunkSize}, 1), nil, ErrBadControl},
		{
			"abort gives the message up",
			slices.Concat(message(video, long...)[:12+128], AppendAbort(nil, 6), message(at(video, 140), 7)),
			[]Header{at(video, 140)},
			nil,
		},
		{"abort of nothing", append(AppendAbort(nil, 77), message(video, 1)...), []Header{video}, nil},
		{
			"a header within a message gives it up",
			append(message(video, long...)[:12+128], message(at(video, 140), 7)...),
			[]Header{at(video, 140)},
			nil,
		},
		{
			"librtmp's ping on a fresh chunk stream with type 1",
			[]byte{1<<6 | 2, 0, 0, 0, 0, 0, 2, TypeUserControl, 0, 7},
			[]Header{{ChunkStream: 2, Type: TypeUserControl}},
			nil,
		},
		{"type 2 on a fresh chunk stream", []byte{2<<6 | 5, 0, 0, 0}, nil, ErrBadChunk},
		{"type 3 on a fresh chunk stream", []byte{3<<6 | 5}, nil, ErrBadChunk},
		{"a command that claims 16 MB", []byte{3, 0, 0, 0, 0xff, 0xff, 0xff, TypeCommandAMF0, 0, 0, 0, 0}, nil, ErrTooLarge},
		{"video that claims 16 MB", []byte{3, 0, 0, 0, 0xff, 0xff, 0xff, TypeVideo, 0, 0, 0, 0}, nil, ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 5, len(tt.wire)} {
				got, err := all(NewDemuxer(DefaultLimits()), tt.wire, size)
				if !errors.Is(err, tt.err) {
					t.Fatalf("error %v, want %v", err, tt.err)
				}
				if !slices.Equal(headers(got), tt.want) {
					t.Fatalf("in pieces of %d: got %v, want %v", size, headers(got), tt.want)
				}
			}
		})
	}
}

func at(h Header, timestamp uint32) Header {
	h.Timestamp = timestamp
	return h
}

// A sender that leaves the extended timestamp out may begin a payload with the very
// bytes of a timestamp's front; the first byte that differs decides.
func TestDemuxerTellsExtendedTimestampsApart(t *testing.T) {
	h := Header{ChunkStream: 6, Stream: 1, Type: TypeVideo, Timestamp: 0x01020304}
	for _, tail := range [][]byte{{1}, {1, 2}, {1, 2, 3}, {1, 2, 3, 5}, {9, 9, 9, 9}} {
		payload := append(bytes.Repeat([]byte{0xaa}, DefaultChunkSize), tail...)
		wire := message(h, payload[:DefaultChunkSize]...)
		wire[6] = byte(len(payload)) // 24 bits of length end here
		wire = append(append(wire, 3<<6|6), tail...)
		wire = append(wire, message(at(h, 0x02000000), 1, 2, 3)...)
		for _, size := range []int{1, 3, len(wire)} {
			got, err := all(NewDemuxer(DefaultLimits()), wire, size)
			if err != nil || len(got) != 2 || !bytes.Equal(got[0].Payload, payload) || len(got[1].Payload) != 3 {
				t.Fatalf("tail %v in pieces of %d: %v, %v", tail, size, headers(got), err)
			}
		}
	}
}

func TestDemuxerBounds(t *testing.T) {
	t.Run("a claim allocates nothing", func(t *testing.T) {
		l := DefaultLimits()
		l.Buffered = 64 << 10
		d := NewDemuxer(l)
		for id := range uint32(20) {
			wire := []byte{byte(3 + id), 0, 0, 0, 0x70, 0, 0, TypeVideo, 1, 0, 0, 0, 0xaa}
			if _, err := all(d, wire, len(wire)); err != nil {
				t.Fatal(err)
			}
			// End the chunk so that the next header may come.
			if _, err := all(d, bytes.Repeat([]byte{0xaa}, DefaultChunkSize-1), 4096); err != nil {
				t.Fatal(err)
			}
		}
		if d.Buffered() > 20*firstBuffer {
			t.Fatalf("%d bytes held", d.Buffered())
		}
	})
	t.Run("bytes of all chunk streams", func(t *testing.T) {
		l := DefaultLimits()
		l.Buffered = 64 << 10
		d := NewDemuxer(l)
		if _, err := all(d, AppendSetChunkSize(nil, 60000), 4096); err != nil {
			t.Fatal(err)
		}
		var err error
		for id := byte(3); id < 12 && err == nil; id++ {
			wire := append([]byte{id, 0, 0, 0, 1, 0, 0, TypeVideo, 1, 0, 0, 0}, make([]byte, 60000)...)
			_, err = all(d, wire, 4096)
			if d.Buffered() > l.Buffered {
				t.Fatalf("%d bytes held", d.Buffered())
			}
		}
		if !errors.Is(err, ErrBuffered) {
			t.Fatal(err)
		}
	})
	t.Run("chunk streams", func(t *testing.T) {
		d := NewDemuxer(DefaultLimits())
		var err error
		for id := uint32(3); id < 100 && err == nil; id++ {
			_, err = all(d, message(Header{ChunkStream: id, Type: TypeAudio}, 1), 64)
		}
		if !errors.Is(err, ErrTooMany) || len(d.streams) != 32 {
			t.Fatalf("%v with %d", err, len(d.streams))
		}
	})
	t.Run("message streams", func(t *testing.T) {
		d := NewDemuxer(DefaultLimits())
		var err error
		n := uint32(0)
		for ; n < 100 && err == nil; n++ {
			_, err = all(d, message(Header{ChunkStream: 3, Stream: n, Type: TypeAudio}, 1), 64)
		}
		if !errors.Is(err, ErrTooMany) || n != 9 {
			t.Fatalf("%v after %d", err, n)
		}
	})
}

func TestPayloadsAreFresh(t *testing.T) {
	d := NewDemuxer(DefaultLimits())
	h := Header{ChunkStream: 6, Stream: 1, Type: TypeVideo}
	wire := append(message(h, 1, 1, 1), message(h, 2, 2, 2)...)
	got, err := all(d, wire, len(wire))
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	clear(wire)
	if !bytes.Equal(got[0].Payload, []byte{1, 1, 1}) || !bytes.Equal(got[1].Payload, []byte{2, 2, 2}) {
		t.Fatal("payloads share memory with the wire or each other")
	}
}

// FuzzDemuxer holds that the cut of the input into reads changes nothing, and that the
// bound on bytes holds whatever comes.
func FuzzDemuxer(f *testing.F) {
	h := Header{ChunkStream: 6, Stream: 1, Type: TypeVideo, Timestamp: 0xfffffff0}
	f.Add(message(h, bytes.Repeat([]byte{0xaa}, 300)...), 3)
	f.Add(slices.Concat(AppendSetChunkSize(nil, 10), AppendAbort(nil, 6), message(h, 1, 2, 3)), 1)
	f.Add([]byte{1<<6 | 2, 0, 0, 0, 0, 0, 2, TypeUserControl, 0, 7, 3<<6 | 2, 0, 6}, 2)
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff, 0, 0, 130, 9, 1, 0, 0, 0, 1, 2, 3, 4, 5}, 5)
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		l := DefaultLimits()
		l.Buffered, l.Media = 8<<10, 4<<10
		a, b := NewDemuxer(l), NewDemuxer(l)
		got, err := all(a, wire, min(max(size, 1), 1<<16))
		want, wantErr := all(b, wire, max(len(wire), 1))
		if !slices.EqualFunc(got, want, same) {
			t.Fatalf("%v\n%v", headers(got), headers(want))
		}
		// Where the bound on bytes is met depends on the cut, that it is met does not
		// where the cut is the same.
		if errors.Is(err, ErrBuffered) || errors.Is(wantErr, ErrBuffered) {
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, whole: %v", err, wantErr)
		}
		if a.Buffered() > l.Buffered {
			t.Fatalf("%d bytes held", a.Buffered())
		}
	})
}
