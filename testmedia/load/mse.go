package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/coder/websocket"
)

// openMSE asks for the stream over a WebSocket.
func openMSE(addr string) (*viewer, error) {
	ctx, end := context.WithCancel(context.Background())
	begun := time.Now()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/live/load/mse", nil) //nolint:bodyclose // it is the connection
	if err != nil {
		end()
		return nil, err
	}
	c.SetReadLimit(16 << 20)
	return &viewer{ReadCloser: &socket{c, ctx, end}, begun: begun}, nil
}

// socket reads chunks, and acknowledges each.
type socket struct {
	conn *websocket.Conn
	ctx  context.Context
	end  context.CancelFunc
}

// Read implements io.Reader.
func (s *socket) Read(b []byte) (int, error) {
	for {
		kind, r, err := s.conn.Reader(s.ctx)
		if err != nil {
			return 0, err
		}
		n, first := 0, uint64(0)
		for err == nil {
			var m int
			m, err = r.Read(b)
			if n == 0 && m >= 8 {
				first = binary.BigEndian.Uint64(b)
			}
			n += m
		}
		if kind == websocket.MessageText {
			continue
		}
		return n, s.conn.Write(s.ctx, websocket.MessageText, fmt.Appendf(nil, `{"ack":%d}`, first))
	}
}

// Close implements io.Closer.
func (s *socket) Close() error {
	s.end()
	return s.conn.CloseNow()
}
