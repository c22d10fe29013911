// Package rtmptest has what tests of RTMP servers need: a bare client and a listener of
// in-memory connections.
package rtmptest

import (
	"io"
	"net"
	"testing"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// HandshakeSize is the size in bytes of S0, S1 and S2, and of C0, C1 and C2.
const HandshakeSize = 1 + 2*1536

// Client is a bare RTMP client. A goroutine reads all that comes, as a good client does; the
// test has to respond to pings.
type Client struct {
	T    testing.TB
	Conn net.Conn
	Got  chan wire.Message // what the server has sent; closed at the end of the connection
	Done chan error        // the error that ended reading

	transaction float64
}

// Handshake does the handshake on nc and starts reading. It fails the test where it cannot.
func Handshake(t testing.TB, nc net.Conn) *Client {
	t.Helper()
	c := &Client{T: t, Conn: nc, Got: make(chan wire.Message, 4096), Done: make(chan error, 1)}
	c0c1 := append([]byte{3}, make([]byte, 1536)...)
	if _, err := nc.Write(c0c1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, HandshakeSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(make([]byte, 1536)); err != nil {
		t.Fatal(err)
	}
	go c.read()
	return c
}

func (c *Client) read() {
	d := wire.NewDemuxer(wire.DefaultLimits())
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Conn.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			var m *wire.Message
			var bad error
			if rest, m, bad = d.Push(rest); bad != nil {
				err = bad
				break
			}
			if m != nil {
				c.Got <- *m
			}
		}
		if err != nil {
			c.Done <- err
			close(c.Got)
			return
		}
	}
}

// Send writes bytes. That the server has closed is no failure.
func (c *Client) Send(b []byte) {
	c.T.Helper()
	if _, err := c.Conn.Write(b); err != nil {
		c.T.Logf("send: %v", err)
	}
}

// CommandMessage returns a command message in chunks of the default size.
func CommandMessage(stream uint32, payload []byte) []byte {
	return wire.AppendMessage(nil, wire.Header{ChunkStream: 3, Stream: stream, Type: wire.TypeCommandAMF0}, wire.DefaultChunkSize, payload)
}

// Call sends a command and returns its transaction.
func (c *Client) Call(stream uint32, name string, args ...wire.Value) float64 {
	c.transaction++
	c.Send(CommandMessage(stream, wire.AppendCommand(nil, wire.Command{Name: name, Transaction: c.transaction, Args: args})))
	return c.transaction
}

// Command waits for the next command of a name, whatever comes before.
func (c *Client) Command(name string) wire.Command {
	c.T.Helper()
	for {
		m, ok := <-c.Got
		if !ok {
			c.T.Fatalf("the connection ended before %q came", name)
		}
		if m.Type != wire.TypeCommandAMF0 {
			continue
		}
		cmd, err := wire.ParseCommand(m.Payload)
		if err != nil {
			c.T.Fatal(err)
		}
		if cmd.Name == name {
			return cmd
		}
	}
}

// Status waits for the next onStatus and returns its code and description.
func (c *Client) Status() (code, description string) {
	c.T.Helper()
	return Info(c.Command("onStatus"))
}

// Info returns the code and the description in the second argument of a command.
func Info(cmd wire.Command) (code, description string) {
	o := wire.Properties(cmd.Arg(1))
	a, _ := o.Find("code").(wire.String)
	b, _ := o.Find("description").(wire.String)
	return string(a), string(b)
}

// Connect sends connect and waits for the answer.
func (c *Client) Connect(app string) {
	c.T.Helper()
	c.Call(0, "connect", wire.Object{
		{Key: "app", Value: wire.String(app)},
		{Key: "flashVer", Value: wire.String("test/1")},
		{Key: "tcUrl", Value: wire.String("rtmp://host/" + app)},
	})
	c.Command("_result")
}

// CreateStream connects and creates message stream 1.
func (c *Client) CreateStream(app string) {
	c.T.Helper()
	c.Connect(app)
	c.Call(0, "createStream", wire.Null{})
	c.Command("_result")
}

// Publish does all that comes before media on message stream 1.
func (c *Client) Publish(app, name string) {
	c.T.Helper()
	c.CreateStream(app)
	c.Call(1, "publish", wire.Null{}, wire.String(name), wire.String("live"))
	if code, why := c.Status(); code != "NetStream.Publish.Start" {
		c.T.Fatal(code, why)
	}
}

// Play sends all that comes before media on message stream 1.
func (c *Client) Play(app, name string) {
	c.T.Helper()
	c.CreateStream(app)
	c.Call(1, "play", wire.Null{}, wire.String(name), wire.Number(-2))
}

// Media sends an audio, video or data message on message stream 1.
func (c *Client) Media(typ uint8, timestamp uint32, body ...byte) {
	c.Send(wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: typ, Timestamp: timestamp},
		wire.DefaultChunkSize, body))
}
