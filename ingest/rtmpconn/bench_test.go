package rtmpconn

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// BenchmarkWrite measures a frame of 10 KB in two buffers, written to a player whose end of
// the connection drops it. The metric x-bare is the time in relation to that of net.Buffers on
// a bare connection, measured in turns.
func BenchmarkWrite(b *testing.B) {
	const size, turn = 10 << 10, 64
	started := make(chan *Player, 1)
	_, addr := serveTCP(b, Options{OnPlay: func(ctx context.Context, _ PlayRequest, p *Player) error {
		started <- p
		<-ctx.Done()
		return ctx.Err()
	}})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write(playHello()); err != nil {
		b.Fatal(err)
	}
	player := <-started
	go drop(nc)
	bare := bareConn(b)
	message := wire.AppendMessage(nil, wire.Header{ChunkStream: VideoChunkStream, Stream: 1, Type: wire.TypeVideo}, ChunkSize, make([]byte, size))
	write := func(to func(*net.Buffers) error) time.Duration {
		began := time.Now()
		for range turn {
			bufs := net.Buffers{message[:100], message[100:]}
			if err := to(&bufs); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(began)
	}
	var relay, net time.Duration
	b.SetBytes(size * turn)
	b.ReportAllocs()
	for b.Loop() {
		relay += write(player.Write)
		b.StopTimer()
		net += write(bare)
		b.StartTimer()
	}
	b.ReportMetric(float64(relay)/float64(net), "x-bare")
}

// bareConn returns the write of a connection whose peer drops what it reads.
func bareConn(b *testing.B) func(*net.Buffers) error {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		defer l.Close()
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		drop(nc)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = nc.Close() })
	return func(bufs *net.Buffers) error {
		_, err := bufs.WriteTo(nc)
		return err
	}
}

func drop(nc net.Conn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{nc}, make([]byte, 64<<10))
}
