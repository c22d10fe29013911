package rtmp

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// countingSink says how many packets of media it has got.
type countingSink struct {
	discard
	got chan struct{}
}

func (s *countingSink) Publish(context.Context, ingest.Request) (ingest.Sink, error) { return s, nil }

func (s *countingSink) Write(p *packetbuf.Packet) error {
	if p.Media() {
		s.got <- struct{}{}
	}
	return nil
}

// frame returns the message of a frame of size bytes, in chunks of 4096.
func frame(size int) []byte {
	body := append(bytes.Clone(avcDelta[:5]), 0, 0, byte((size-9)>>8), byte(size-9), 0x41)
	body = append(body, make([]byte, size-len(body))...)
	return wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeVideo, Timestamp: 40}, 4096, body)
}

// BenchmarkRead measures 64 frames of 10 KB on their way from the sender's write to the sink.
// The metric x-bare is the time in relation to that of a program that reads the same bytes
// from a socket and drops them, measured in turns.
func BenchmarkRead(b *testing.B) {
	const size, turn = 10 << 10, 64
	message := frame(size)
	sink := &countingSink{got: make(chan struct{}, 1)}
	_, addr := serveTCP(b, Options{Access: sink})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	p := rtmptest.Handshake(b, nc)
	p.Publish("live", "cam")
	p.Media(wire.TypeVideo, 0, avcConfig...)
	p.Media(wire.TypeVideo, 0, avcKey...)
	p.Send(wire.AppendSetChunkSize(nil, 4096))
	p.Send(message)
	<-sink.got
	<-sink.got
	bare, read := bareReader(b, len(message))
	send := func(nc net.Conn, got <-chan struct{}) time.Duration {
		began := time.Now()
		go func() {
			for range turn {
				_, _ = nc.Write(message)
			}
		}()
		for range turn {
			<-got
		}
		return time.Since(began)
	}
	var relayTime, bareTime time.Duration
	b.ReportAllocs()
	b.SetBytes(size * turn)
	for b.Loop() {
		relayTime += send(nc, sink.got)
		b.StopTimer()
		bareTime += send(bare, read)
		b.StartTimer()
	}
	b.ReportMetric(float64(relayTime)/float64(bareTime), "x-bare")
}

// bareReader returns a connection whose peer says when it has read each message of size bytes.
func bareReader(b *testing.B, size int) (net.Conn, <-chan struct{}) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	got := make(chan struct{}, 1)
	go func() {
		defer l.Close()
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, 16<<10)
		for have := 0; ; {
			n, err := nc.Read(buf)
			if err != nil {
				return
			}
			for have += n; have >= size; have -= size {
				got <- struct{}{}
			}
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = nc.Close() })
	return nc, got
}
