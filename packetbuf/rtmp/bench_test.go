package rtmp

import "testing"

// A 720p30 stream of 2.5 Mb/s has frames of about 10 KB.
const frameSize = 10 << 10

func BenchmarkAppendMessage(b *testing.B) {
	h := Header{ChunkStream: 20, Stream: 1, Type: TypeVideo, Timestamp: 1000}
	head, payload := make([]byte, 5), make([]byte, frameSize)
	dst := make([]byte, 0, MessageSize(h, 4096, len(head)+len(payload)))
	b.SetBytes(frameSize)
	b.ReportAllocs()
	for b.Loop() {
		AppendMessage(dst[:0], h, 4096, head, payload)
	}
}

func BenchmarkDemux(b *testing.B) {
	for _, bb := range []struct {
		name  string
		chunk int
	}{{"chunk128", 128}, {"chunk4096", 4096}, {"chunk60000", 60000}} {
		b.Run(bb.name, func(b *testing.B) {
			h := Header{ChunkStream: 6, Stream: 1, Type: TypeVideo, Timestamp: 1000}
			wire := AppendMessage(nil, h, bb.chunk, make([]byte, frameSize))
			d := NewDemuxer(DefaultLimits())
			d.chunkSize = bb.chunk
			b.SetBytes(frameSize)
			b.ReportAllocs()
			for b.Loop() {
				rest, m, err := d.Push(wire)
				if len(rest) != 0 || m == nil || err != nil {
					b.Fatal(len(rest), m, err)
				}
			}
		})
	}
}

func BenchmarkValidateAMF(b *testing.B) {
	wire := AppendAMF(nil, String("onMetaData"), ECMAArray{
		{"width", Number(1280)},
		{"height", Number(720)},
		{"encoder", String("a program")},
		{"stereo", Bool(true)},
	})
	b.ReportAllocs()
	for b.Loop() {
		if err := ValidateAMF(wire); err != nil {
			b.Fatal(err)
		}
	}
}
