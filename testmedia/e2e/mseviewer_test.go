//go:build unix

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// mseClient plays over WebSocket as the relay's page does, and resumes at its exact position.
type mseClient struct {
	*wire
	url     string
	conn    *websocket.Conn
	token   string
	last    uint64
	resumed func(how string)
	breaks  int // discontinuities announced
	fragments
}

func watchMSE(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	c := &mseClient{wire: newWire(t), url: "ws://" + r.addrs["http"] + "/" + stream + "/mse"}
	v := &viewer{t: t, name: "Media Source", latency: 200 * time.Millisecond, cut: c.wire.cut, audioShift: 22 * time.Millisecond, resumesExactly: true, wire: c.wire}
	c.resumed = v.recordResume
	v.discontinuities = func() int { return c.breaks }
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	v.start(c.read, c.leave)
	return v
}

func (c *mseClient) open() error {
	query := ""
	if c.tokenInvalid.Load() {
		c.token = "not-a-token"
	}
	if c.token != "" {
		query = fmt.Sprintf("?resume=%s&after=%d", c.token, c.last)
	}
	conn, _, err := websocket.Dial(c.ctx, c.url+query, &websocket.DialOptions{HTTPClient: c.http}) //nolint:bodyclose // it is the connection
	if err != nil {
		return err
	}
	conn.SetReadLimit(16 << 20)
	c.conn = conn
	return nil
}

// read returns the next packet.
func (c *mseClient) read() (*packetbuf.Packet, error) {
	for {
		if p := c.next(); p != nil {
			return p, nil
		}
		kind, data, err := c.conn.Read(c.ctx)
		var end websocket.CloseError
		switch {
		case errors.As(err, &end) && end.Code == 4000:
			return nil, io.EOF
		case err != nil && c.ctx.Err() == nil && c.takeCut():
			_ = c.conn.CloseNow()
			for err = c.open(); err != nil && c.ctx.Err() == nil && c.takeCut(); {
				err = c.open()
			}
		case err != nil:
			_ = c.conn.CloseNow()
		case kind == websocket.MessageText:
			err = c.readText(data)
		default:
			err = c.readChunk(data)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (c *mseClient) readText(text []byte) error {
	var output struct {
		Session, Codecs, Resume string
		Discontinuity           bool
	}
	if err := json.Unmarshal(text, &output); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if output.Session != "" {
		if c.token != "" {
			c.resumed(output.Resume)
		}
		c.token = output.Session
	}
	if output.Discontinuity {
		c.breaks++
	}
	return nil
}

// readChunk reads a chunk and acknowledges it.
func (c *mseClient) readChunk(data []byte) error {
	if len(data) < 8 {
		return fmt.Errorf("got a message of %d bytes, want at least 8", len(data))
	}
	c.last = binary.BigEndian.Uint64(data)
	if err := c.add(data[8:]); err != nil {
		return err
	}
	_ = c.conn.Write(c.ctx, websocket.MessageText, fmt.Appendf(nil, `{"ack": %d}`, c.last)) // the connection may have ended
	return nil
}
