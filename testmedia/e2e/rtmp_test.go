//go:build unix

package e2e

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/handshake"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

// Message types.
const (
	typeChunkSize = 1
	typeAck       = 3
	typeControl   = 4
	typeWindow    = 5
	typeAudio     = 8
	typeVideo     = 9
	typeData      = 18
	typeCommand   = 20
)

const eventPing, eventPong = 6, 7

// streamID is message stream 1 as gortmplib writes it: this field is the only one in RTMP with its least
// significant byte first.
const streamID = 1 << 24

// client is the client side of an RTMP connection. It uses chunks and AMF of gortmplib and its own
// commands, so that tests control timestamps, bytes and the end of the socket.
type client struct {
	conn   net.Conn
	reader *rawmessage.Reader
	acked  chan uint32 // newest acknowledgement; capacity one

	mu     sync.Mutex // guards writer
	writer *rawmessage.Writer
}

// dialClient connects to an app at addr, over TLS if config is not nil. more is added to the command
// object of connect.
func dialClient(t testing.TB, addr, app string, config *tls.Config, more ...amf0.ObjectEntry) (*client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(waitLimit))
	count := bytecounter.NewReadWriter(conn)
	if _, _, err := handshake.DoClient(count, false, false); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	c := &client{conn: conn, acked: make(chan uint32, 1)}
	c.writer = rawmessage.NewWriter(count, count.Writer, false)
	c.reader = rawmessage.NewReader(count, count.Reader, func(n uint32) error {
		return c.write(&rawmessage.Message{ChunkStreamID: 2, Type: typeAck, Body: binary.BigEndian.AppendUint32(nil, n)})
	})
	if err := c.write(&rawmessage.Message{ChunkStreamID: 2, Type: typeChunkSize, Body: binary.BigEndian.AppendUint32(nil, 8192)}); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.writer.SetChunkSize(8192)
	c.mu.Unlock()
	_, err = c.call(0, "connect", 1, append(amf0.Object{
		{Key: "app", Value: app}, {Key: "flashVer", Value: "e2e/1"}, {Key: "tcUrl", Value: "rtmp://" + addr + "/" + app},
	}, more...))
	return c, err
}

// statusError is an onStatus or _error message that rejects a command.
type statusError struct{ code, description string }

func (e *statusError) Error() string { return e.code + ": " + e.description }

func (c *client) write(m *rawmessage.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writer.Write(m)
}

func (c *client) command(stream uint32, name string, transaction int, args ...any) error {
	body, err := append(amf0.Data{name, float64(transaction)}, args...).Marshal()
	if err != nil {
		return err
	}
	return c.write(&rawmessage.Message{ChunkStreamID: 3, Type: typeCommand, MessageStreamID: stream, Body: body})
}

// call sends a command and waits for its result.
func (c *client) call(stream uint32, name string, transaction int, args ...any) (amf0.Data, error) {
	if err := c.command(stream, name, transaction, args...); err != nil {
		return nil, err
	}
	for {
		m, err := c.read()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if m.Type != typeCommand {
			continue
		}
		answer, err := amf0.Unmarshal(m.Body)
		if err != nil || len(answer) < 2 {
			return nil, fmt.Errorf("%s: answer %v: %w", name, answer, err)
		}
		switch {
		case answer[0] == "_result" && answer[1] == float64(transaction):
			return answer, nil
		case answer[0] == "_error", answer[0] == "onStatus":
			if err := answerError(answer); err != nil {
				return nil, err
			}
			if answer[0] == "onStatus" && transaction == 0 {
				return answer, nil
			}
		}
	}
}

// answerError returns the error in an answer, or nil.
func answerError(answer amf0.Data) error {
	if len(answer) < 4 {
		return nil
	}
	info, ok := answer[3].(amf0.Object)
	if !ok {
		return nil
	}
	if level, _ := info.GetString("level"); level != "error" {
		return nil
	}
	e := &statusError{}
	e.code, _ = info.GetString("code")
	e.description, _ = info.GetString("description")
	return e
}

// read returns the next message that is not protocol control.
func (c *client) read() (*rawmessage.Message, error) {
	for {
		m, err := c.reader.Read()
		if err != nil {
			return nil, err
		}
		switch {
		case m.Type == typeChunkSize && len(m.Body) == 4:
			if err := c.reader.SetChunkSize(binary.BigEndian.Uint32(m.Body)); err != nil {
				return nil, err
			}
		case m.Type == typeWindow && len(m.Body) == 4:
			c.reader.SetWindowAckSize(binary.BigEndian.Uint32(m.Body))
		case m.Type == typeAck && len(m.Body) == 4:
			select {
			case <-c.acked:
			default:
			}
			c.acked <- binary.BigEndian.Uint32(m.Body)
		case m.Type == typeControl && len(m.Body) == 6 && binary.BigEndian.Uint16(m.Body) == eventPing:
			pong := append([]byte{0, eventPong}, m.Body[2:]...)
			if err := c.write(&rawmessage.Message{ChunkStreamID: 2, Type: typeControl, Body: pong}); err != nil {
				return nil, err
			}
		default:
			return m, nil
		}
	}
}

// open creates a stream and publishes or plays on it.
func (c *client) open(verb, name string) error {
	if _, err := c.call(0, "createStream", 2, nil); err != nil {
		return err
	}
	args := []any{nil, name}
	if verb == "publish" {
		args = append(args, "live")
	}
	_, err := c.call(streamID, verb, 0, args...)
	_ = c.conn.SetDeadline(time.Time{})
	return err
}

// reset ends the connection with RST.
func (c *client) reset() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.conn.Close()
}

// openClient connects and publishes or plays app/name.
func openClient(t testing.TB, addr, verb, stream string, config *tls.Config) (*client, error) {
	t.Helper()
	app, name, _ := strings.Cut(stream, "/")
	c, err := dialClient(t, addr, app, config)
	if err != nil {
		return nil, err
	}
	if err := c.open(verb, name); err != nil {
		_ = c.conn.Close()
		return nil, err
	}
	return c, nil
}

// expectRefusal returns the relay's refusal of a publish or play that must be refused.
func expectRefusal(t testing.TB, addr, verb, stream string) *statusError {
	t.Helper()
	c, err := openClient(t, addr, verb, stream, nil)
	var status *statusError
	if !errors.As(err, &status) {
		if c != nil {
			_ = c.conn.Close()
		}
		t.Fatalf("%s %s: got %v, want a refusal", verb, stream, err)
	}
	return status
}
