package mse

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/coder/websocket"
)

// message is a message that a client received.
type message struct {
	text string
	seq  uint64
	data []byte
}

func (m message) init() bool { return m.text == "" && string(m.data[4:8]) == "ftyp" }

// client is a viewer.
type client struct {
	b    *bench
	raw  net.Conn
	conn *websocket.Conn
	acks bool
	done chan struct{} // closed when the connection has ended
	err  error         // why it ended

	mu   sync.Mutex // guards the fields below
	got  []message
	wait time.Duration // before each read
}

func (b *bench) dial(query string, change func(*client)) *client {
	b.t.Helper()
	c := &client{b: b, acks: true, done: make(chan struct{})}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		c.raw = near
		b.pipes.conns <- far
		return near, nil
	}}
	var err error
	c.conn, _, err = websocket.Dial(b.t.Context(), "ws://relay/live/cam/mse"+query, &websocket.DialOptions{ //nolint:bodyclose // it is the connection
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	c.conn.SetReadLimit(16 << 20)
	if change != nil {
		change(c)
	}
	go c.read()
	synctest.Wait()
	return c
}

func (c *client) read() {
	defer close(c.done)
	for {
		c.mu.Lock()
		wait := c.wait
		c.mu.Unlock()
		time.Sleep(wait)
		kind, data, err := c.conn.Read(context.Background())
		if err != nil {
			c.err = err
			_ = c.conn.CloseNow()
			return
		}
		m := message{text: string(data)}
		if kind == websocket.MessageBinary {
			m = message{seq: binary.BigEndian.Uint64(data), data: data[8:]}
		}
		c.mu.Lock()
		c.got = append(c.got, m)
		c.mu.Unlock()
		if m.text == "" && c.acks {
			c.send(fmt.Sprintf(`{"ack": %d}`, m.seq))
		}
	}
}

func (c *client) send(text string) {
	_ = c.conn.Write(context.Background(), websocket.MessageText, []byte(text)) // fails if the connection has ended
}

func (c *client) pace(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = wait
}

// cut ends the connection as a network does.
func (c *client) cut() {
	_ = c.raw.Close()
	<-c.done
	synctest.Wait()
}

// leave closes the connection with a close frame.
func (c *client) leave() {
	_ = c.conn.Close(websocket.StatusNormalClosure, "")
	<-c.done
	synctest.Wait()
}

// closed waits for the end of the connection, and returns the relay's close code and reason.
func (c *client) closed() (Code, string) {
	<-c.done
	var end websocket.CloseError
	if !errors.As(c.err, &end) {
		return 0, c.err.Error()
	}
	return Code(end.Code), end.Reason
}

func (c *client) received() []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]message(nil), c.got...)
}

// binaries returns the chunks that were received.
func (c *client) binaries() (out []message) {
	for _, m := range c.received() {
		if m.text == "" {
			out = append(out, m)
		}
	}
	return out
}

func (c *client) last() uint64 {
	all := c.binaries()
	return all[len(all)-1].seq
}

// count returns how many JSON messages have a key.
func (c *client) count(key string) (n int) {
	for _, m := range c.received() {
		if m.text != "" {
			var said map[string]any
			if err := json.Unmarshal([]byte(m.text), &said); err != nil {
				c.b.t.Errorf("got a message that is not JSON: %s", m.text)
			}
			if _, ok := said[key]; ok {
				n++
			}
		}
	}
	return n
}

// hello returns the first message.
func (c *client) hello() (h struct{ Session, Codecs, Resume string }) {
	c.b.t.Helper()
	all := c.received()
	if len(all) == 0 || json.Unmarshal([]byte(all[0].text), &h) != nil {
		c.b.t.Fatalf("got %d messages, want the first to be the greeting", len(all))
	}
	return h
}

// parse parses init sections and fragments, and returns the number of video frames.
func parse(t *testing.T, all []message) (frames int) {
	t.Helper()
	for _, m := range all {
		if m.text != "" {
			continue
		}
		if m.init() {
			var init fmp4.Init
			if err := init.Unmarshal(bytes.NewReader(m.data)); err != nil || len(init.Tracks) == 0 {
				t.Fatalf("init section %d: %v", m.seq, err)
			}
			continue
		}
		var parts fmp4.Parts
		if err := parts.Unmarshal(m.data); err != nil || len(parts) != 1 {
			t.Fatalf("chunk %d: %d fragments, %v", m.seq, len(parts), err)
		}
		for _, tr := range parts[0].Tracks {
			if tr.ID == 1 {
				frames += len(tr.Samples)
			}
		}
	}
	return frames
}
