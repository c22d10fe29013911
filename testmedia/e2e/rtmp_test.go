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

// first is message stream 1 as gortmplib writes it: RTMP has this field, alone of all, with
// its lowest byte first.
const first = 1 << 24

// client is our side of an RTMP connection: gortmplib's chunks and AMF, our own commands, so
// that timestamps, bytes and the socket's end are in our hand.
type client struct {
	conn   net.Conn
	reader *rawmessage.Reader
	acked  chan uint32 // of one: the newest acknowledgement

	mu     sync.Mutex // guards writer
	writer *rawmessage.Writer
}

// dialClient connects to app at addr. With config it is RTMPS. It says more of itself in connect
// where there is more.
func dialClient(t testing.TB, addr, app string, config *tls.Config, more ...amf0.ObjectEntry) (*client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
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

// statusError is an onStatus or _error that refuses.
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
			if err := refused(answer); err != nil {
				return nil, err
			}
			if answer[0] == "onStatus" && transaction == 0 {
				return answer, nil
			}
		}
	}
}

// refused is the error that an answer holds.
func refused(answer amf0.Data) error {
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

// read returns the next message that is not the connection's own business.
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
	_, err := c.call(first, verb, 0, args...)
	_ = c.conn.SetDeadline(time.Time{})
	return err
}

// reset ends the connection by RST.
func (c *client) reset() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.conn.Close()
}

// openOn connects and publishes or plays app/name.
func openOn(t testing.TB, addr, verb, stream string, config *tls.Config) (*client, error) {
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

// refusal is what the relay says to a publish or play that it must refuse.
func refusal(t testing.TB, addr, verb, stream string) *statusError {
	t.Helper()
	c, err := openOn(t, addr, verb, stream, nil)
	var status *statusError
	if !errors.As(err, &status) {
		if c != nil {
			_ = c.conn.Close()
		}
		t.Fatalf("%s %s: %v instead of a refusal", verb, stream, err)
	}
	return status
}
