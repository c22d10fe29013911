package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/coder/websocket"
)

// openMSE plays the stream over a WebSocket.
func openMSE(addr string) (*viewer, error) {
	ctx, end := context.WithCancel(context.Background())
	begun := time.Now()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/live/load/mse", nil) //nolint:bodyclose // it is the connection
	if err != nil {
		end()
		return nil, err
	}
	c.SetReadLimit(16 << 20)
	return &viewer{ReadCloser: &mseReader{conn: c, ctx: ctx, end: end}, begun: begun}, nil
}

// mseReader reads chunks and acknowledges each one when it is complete.
type mseReader struct {
	conn        *websocket.Conn
	ctx         context.Context
	end         context.CancelFunc
	chunk       io.Reader // the chunk being read; nil: none
	chunkNumber uint64    // number of chunk
}

// Read implements io.Reader. It returns the content of messages, including their numbers.
func (s *mseReader) Read(b []byte) (int, error) {
	for {
		if s.chunk == nil {
			if err := s.next(); err != nil {
				return 0, err
			}
		}
		n, err := s.chunk.Read(b)
		if errors.Is(err, io.EOF) {
			s.chunk = nil
			err = s.conn.Write(s.ctx, websocket.MessageText, fmt.Appendf(nil, `{"ack":%d}`, s.chunkNumber))
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next starts the next chunk.
func (s *mseReader) next() error {
	for {
		kind, r, err := s.conn.Reader(s.ctx)
		if err != nil {
			return err
		}
		if kind == websocket.MessageText {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			continue
		}
		number := make([]byte, 8)
		if _, err := io.ReadFull(r, number); err != nil {
			return err
		}
		s.chunkNumber = binary.BigEndian.Uint64(number)
		s.chunk = io.MultiReader(bytes.NewReader(number), r)
		return nil
	}
}

// Close implements io.Closer.
func (s *mseReader) Close() error {
	s.end()
	return s.conn.CloseNow()
}
