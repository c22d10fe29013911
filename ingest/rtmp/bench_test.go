package rtmp

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// countingSink reports when it has got a number of packets of media.
type countingSink struct {
	discard
	left int
	done chan struct{}
}

func (s *countingSink) Publish(context.Context, ingest.Request) (ingest.Sink, error) { return s, nil }

func (s *countingSink) Write(p *packetbuf.Packet) error {
	if p.Media() {
		if s.left--; s.left == 0 {
			close(s.done)
		}
	}
	return nil
}

// frame returns the message of a frame of size bytes, in chunks of 4096.
func frame(size int) []byte {
	body := append(bytes.Clone(avcDelta[:5]), 0, 0, byte((size-9)>>8), byte(size-9), 0x41)
	body = append(body, make([]byte, size-len(body))...)
	return wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeVideo, Timestamp: 40}, 4096, body)
}

// BenchmarkRead measures a frame of 10 KB on its way from the sender's write to the sink. The
// metric x-bare is the time in relation to that of a program that reads the same bytes from a
// socket and drops them.
func BenchmarkRead(b *testing.B) {
	const size = 10 << 10
	message := frame(size)
	bare := bareRead(b, message, b.N)
	sink := &countingSink{left: b.N + 1, done: make(chan struct{})} // and the keyframe
	_, addr := serveTCP(b, Options{Access: sink})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	p := rtmptest.Handshake(b, nc)
	p.Publish("live", "cam")
	p.Media(wire.TypeVideo, 0, avcConfig...)
	p.Media(wire.TypeVideo, 0, avcKey...)
	p.Send(wire.AppendSetChunkSize(nil, 4096))
	b.ReportAllocs()
	b.SetBytes(size)
	b.ResetTimer()
	for range b.N {
		if _, err := nc.Write(message); err != nil {
			b.Fatal(err)
		}
	}
	<-sink.done
	b.StopTimer()
	_ = nc.Close()
	b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-bare")
}

// bareRead returns the time in which n messages are written to a socket and read from it.
func bareRead(b *testing.B, message []byte, n int) time.Duration {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{nc}, make([]byte, 16<<10))
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for range n {
		if _, err := nc.Write(message); err != nil {
			b.Fatal(err)
		}
	}
	_ = nc.Close()
	<-done
	return time.Since(began)
}
