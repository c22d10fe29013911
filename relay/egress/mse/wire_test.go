package mse

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A client that reads nothing for longer than a ping may take, and then continues, has lost
// nothing.
func TestStalledReader(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.publishFor(3 * time.Second)
		c.pace(7 * time.Second) // before the second next message
		p.publishFor(time.Second)
		c.pace(0)
		if err := c.conn.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		p.publishFor(10 * time.Second)
		if b.playing.Load() != 1 {
			t.Fatal("connection closed: ", c.err)
		}
		parse(t, c.received())
	})
}

// recordingConn records what is written.
type recordingConn struct {
	net.Conn
	all [][]byte
}

func (w *recordingConn) Write(b []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(b))
	return len(b), nil
}

func (w *recordingConn) SetWriteDeadline(time.Time) error { return nil }

// A chunk is written as one frame, whatever its size.
func TestOneFrame(t *testing.T) {
	for _, size := range []int{0, 100, 117, 118, 60_000, 65_527, 65_528, 300_000} {
		near, far := net.Pipe()
		out := newWire(near, 0)
		go func() {
			if err := out.writeBinary([]byte("12345678"), bytes.Repeat([]byte{7}, size)); err != nil {
				t.Error(err)
			}
			_ = near.Close()
		}()
		got, err := io.ReadAll(far)
		if err != nil {
			t.Fatal(err)
		}
		n := int(got[1])
		head := 2
		switch n {
		case 126:
			n, head = int(got[2])<<8|int(got[3]), 4
		case 127:
			n, head = int(got[6])<<24|int(got[7])<<16|int(got[8])<<8|int(got[9]), 10
		}
		if got[0] != finBinary || n != size+8 || len(got) != head+n || string(got[head:head+8]) != "12345678" {
			t.Errorf("%d bytes: got % x", size, got[:min(len(got), 20)])
		}
	}
}

// Pings and pongs wait until the current write is done; of pongs only the newest is sent.
func TestControlWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recordingConn{}
		w := newWire(conn, 0)
		w.turn <- struct{}{}
		w.sendPing()
		w.sendPong([]byte("a"))
		w.sendPong([]byte("bc"))
		if len(conn.all) != 0 {
			t.Fatal("control frame written within another frame")
		}
		w.release()
		w.sendPing()
		if len(conn.all) != 2 || string(conn.all[0]) != "\x8a\x02bc\x89\x00" || string(conn.all[1]) != "\x89\x00" {
			t.Errorf("got %q", conn.all)
		}
	})
}
