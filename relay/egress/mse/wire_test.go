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

// Who takes nothing for longer than a ping may take, and then goes on, has lost nothing.
func TestStands(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.run(3 * time.Second)
		c.pace(7 * time.Second) // before the one message after the next
		p.run(time.Second)
		c.pace(0)
		if err := c.conn.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		p.run(10 * time.Second)
		if b.playing.Load() != 1 {
			t.Fatal("gone: ", c.err)
		}
		parse(t, c.all())
	})
}

// writes counts what is written to a connection.
type writes struct {
	net.Conn
	all [][]byte
}

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(b))
	return len(b), nil
}

func (w *writes) SetWriteDeadline(time.Time) error { return nil }

// A chunk is one frame, whatever its size.
func TestOneFrame(t *testing.T) {
	for _, size := range []int{0, 100, 117, 118, 60_000, 65_527, 65_528, 300_000} {
		near, far := net.Pipe()
		out := newWire(near, 0)
		go func() {
			if err := out.binary([]byte("12345678"), bytes.Repeat([]byte{7}, size)); err != nil {
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
			t.Errorf("%d bytes: % x", size, got[:min(len(got), 20)])
		}
	}
}

// Pings and pongs wait until what is being written is; of pongs the newest is sent.
func TestControlWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &writes{}
		w := newWire(conn, 0)
		w.turn <- struct{}{}
		w.askForSign()
		w.answer([]byte("a"))
		w.answer([]byte("bc"))
		if len(conn.all) != 0 {
			t.Fatal("written into another frame")
		}
		w.release()
		w.askForSign()
		if len(conn.all) != 2 || string(conn.all[0]) != "\x8a\x02bc\x89\x00" || string(conn.all[1]) != "\x89\x00" {
			t.Errorf("%q", conn.all)
		}
	})
}
