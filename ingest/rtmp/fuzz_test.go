package rtmp

import (
	"context"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// discard is an Access and a Sink that take everything.
type discard struct{}

func (discard) Publish(context.Context, ingest.Request) (ingest.Sink, error) { return discard{}, nil }
func (discard) Write(*packetbuf.Packet) error                                { return nil }
func (discard) End(ingest.Cause, string)                                     {}

func say(stream uint32, name string, tx float64, args ...wire.Value) []byte {
	return rtmptest.CommandMessage(stream, wire.AppendCommand(nil, wire.Command{Name: name, Transaction: tx, Args: args}))
}

// FuzzSession feeds bytes to a whole session, as they come behind a handshake, a connect,
// a publish or a play. The connection must end when its peer leaves, whatever was said.
func FuzzSession(f *testing.F) {
	connect := say(0, "connect", 1, wire.Object{{Key: "app", Value: wire.String("live")}})
	create := say(0, "createStream", 2, wire.Null{})
	publish := say(1, "publish", 3, wire.Null{}, wire.String("cam?key=1"), wire.String("live"))
	play := say(1, "play", 3, wire.Null{}, wire.String("cam"))
	prefixes := [][]byte{
		nil, connect, slices.Concat(connect, create),
		slices.Concat(connect, create, publish), slices.Concat(connect, create, play),
	}
	video := func(b []byte) []byte {
		return wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeVideo}, 128, b)
	}
	f.Add(byte(0), slices.Concat(connect, create, publish))
	f.Add(byte(3), slices.Concat(video(avcConfig), video(avcKey), say(0, "FCUnpublish", 4, wire.Null{}), say(0, "deleteStream", 5, wire.Null{}, wire.Number(1))))
	f.Add(byte(3), slices.Concat(video(tracks2(0x96, ex0, ex1)), video(tracks2(0xa6, ex0[1:], ex1[1:])), video([]byte("\x97\x00\x01\x07\x00\x01\x01hvc1"))))
	f.Add(byte(3), slices.Concat(say(1, "closeStream", 0, wire.Null{}), publish, play))
	f.Add(byte(4), slices.Concat(say(1, "pause", 4, wire.Null{}, wire.Bool(true)), say(0, "createStream", 5), say(1, "closeStream", 0), play, publish))
	f.Add(byte(1), slices.Concat(wire.AppendSetChunkSize(nil, 3), wire.AppendAbort(nil, 3), wire.AppendUserControl(nil, 6, 1), wire.AppendWindowAckSize(nil, 1)))

	srv, l := serve(f, Options{Access: discard{}, OnPlay: func(ctx context.Context, _ rtmpconn.PlayRequest, p *rtmpconn.Player) error {
		if err := p.Start(); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}, Linger: 10 * time.Millisecond})
	f.Fuzz(func(t *testing.T, state byte, wire []byte) {
		nc := l.Dial()
		_, _ = nc.Write(append([]byte{3}, make([]byte, 1536)...))
		if _, err := io.ReadFull(nc, make([]byte, rtmptest.HandshakeSize)); err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, nc)
		}()
		_, _ = nc.Write(make([]byte, 1536))
		_, _ = nc.Write(prefixes[int(state)%len(prefixes)])
		_, _ = nc.Write(wire)
		_ = nc.Close()
		<-drained
		gone(t, srv)
	})
}

func gone(t *testing.T, srv *Server) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); srv.Connections() > 0; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("the connection stays")
		}
	}
}
