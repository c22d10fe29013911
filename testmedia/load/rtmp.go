package main

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

const handshakeSize = 1536

// dial connects and sends connect, createStream and one more command. It does not read the server's
// answers.
func dial(addr string, last rtmp.Command) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	hello := make([]byte, 1+handshakeSize)
	hello[0] = 3
	if _, err := c.Write(hello); err != nil {
		return nil, err
	}
	answer := make([]byte, 1+2*handshakeSize)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	out := slices.Clone(answer[1 : 1+handshakeSize])
	command := func(stream uint32, cmd rtmp.Command) {
		h := rtmp.Header{ChunkStream: 3, Stream: stream, Type: rtmp.TypeCommandAMF0}
		out = rtmp.AppendMessage(out, h, rtmp.DefaultChunkSize, rtmp.AppendCommand(nil, cmd))
	}
	command(0, rtmp.Command{Name: "connect", Transaction: 1, Args: []rtmp.Value{rtmp.Object{
		{Key: "app", Value: rtmp.String("live")}, {Key: "tcUrl", Value: rtmp.String("rtmp://" + addr + "/live")},
	}}})
	command(0, rtmp.Command{Name: "createStream", Transaction: 2, Args: []rtmp.Value{rtmp.Null{}}})
	command(1, last)
	_, err = c.Write(out)
	return c, err
}

// openRTMP plays the stream over RTMP.
func openRTMP(addr string) (*viewer, error) {
	begun := time.Now()
	c, err := dial(addr, rtmp.Command{Name: "play", Transaction: 3, Args: []rtmp.Value{rtmp.Null{}, rtmp.String("load")}})
	return &viewer{ReadCloser: c, begun: begun}, err
}

// publish pushes the stream until ended is called.
func publish(ctx context.Context, addr string, source gen.Options) (ended func(), err error) {
	c, err := dial(addr, rtmp.Command{Name: "publish", Transaction: 3, Args: []rtmp.Value{
		rtmp.Null{}, rtmp.String("load"), rtmp.String("live"),
	}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.Copy(io.Discard, c) })
	wait.Go(func() { push(ctx, c, source) })
	return func() { cancel(); _ = c.Close(); wait.Wait() }, nil
}

func push(ctx context.Context, c net.Conn, source gen.Options) {
	begun := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var out []byte
	for g := gen.New(source); ; {
		p := g.Next()
		for time.Since(begun) < p.DTS {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		out = appendPacket(out[:0], p)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func appendPacket(dst []byte, p *packetbuf.Packet) []byte {
	body, err := flv.AppendBody(nil, p)
	if err != nil {
		return dst
	}
	h := rtmp.Header{ChunkStream: 4 + uint32(p.Track), Stream: 1, Type: flv.TagType(p.Track), Timestamp: p.Millis()}
	return rtmp.AppendMessage(dst, h, rtmp.DefaultChunkSize, body)
}
