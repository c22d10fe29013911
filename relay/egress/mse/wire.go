package mse

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
)

// wire is the connection beneath a WebSocket. Whole frames are written to it, one at a time: by
// the library, whose every Write is one, and past it, so that a chunk is one frame and one
// system call, and a ping waits for its turn without an end.
type wire struct {
	net.Conn
	gather   net.Conn        // takes many buffers in one system call, where there is such a thing
	turn     chan struct{}   // of one: who writes
	deadline egress.Deadline // of who writes

	mu   sync.Mutex // guards what follows
	ping bool       // one is due
	pong []byte     // frame that is due; nil: none
}

// Control frames and the kinds of frames (RFC 6455, 5.2).
const (
	finBinary = 0x82
	finPing   = 0x89
	finPong   = 0x8a

	mostControl = 125 // bytes of a control frame
	mostHead    = 10
)

func newWire(conn net.Conn, timeout time.Duration) *wire {
	w := &wire{Conn: conn, gather: conn, turn: make(chan struct{}, 1), deadline: egress.Deadline{Conn: conn, Timeout: timeout}}
	raw := egress.RawConn(conn)
	egress.LimitUnsent(raw)
	if _, secured := conn.(*tls.Conn); !secured {
		w.gather = raw
	}
	return w
}

// hurry leaves a second to all that is still written and read.
func (w *wire) hurry() {
	w.deadline.End()
	_ = w.SetReadDeadline(time.Now().Add(lastWords)) // it fails on a connection that is closed
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	w.turn <- struct{}{}
	defer w.release()
	if err := w.deadline.Extend(); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// binary writes a message of head and data.
func (w *wire) binary(head, data []byte) error {
	bufs := net.Buffers{append(frameHead(len(head)+len(data)), head...), data}
	w.turn <- struct{}{}
	defer w.release()
	if err := w.deadline.Extend(); err != nil {
		return err
	}
	_, err := bufs.WriteTo(w.gather)
	return err
}

// frameHead is the head of a binary message of one frame.
func frameHead(size int) []byte {
	b := append(make([]byte, 0, mostHead+8), finBinary)
	switch {
	case size <= mostControl:
		return append(b, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size)) //nolint:gosec // checked
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size)) //nolint:gosec // not negative
}

// askForSign sends a ping, as soon as nothing else is being sent.
func (w *wire) askForSign() {
	w.mu.Lock()
	w.ping = true
	w.mu.Unlock()
	w.settle()
}

// answer sends the pong of a ping, as soon as nothing else is being sent; of several the newest.
func (w *wire) answer(ping []byte) {
	if len(ping) > mostControl {
		return
	}
	w.mu.Lock()
	w.pong = append([]byte{finPong, byte(len(ping))}, ping...)
	w.mu.Unlock()
	w.settle()
}

// release ends a turn.
func (w *wire) release() {
	<-w.turn
	w.settle()
}

// settle sends what is due, unless somebody writes, who does it then.
func (w *wire) settle() {
	for {
		select {
		case w.turn <- struct{}{}:
		default:
			return
		}
		due := w.due()
		if len(due) > 0 {
			w.control(due)
		}
		<-w.turn
		if len(due) == 0 && !w.owes() {
			return
		}
	}
}

// control writes control frames. After one that was written in part nothing can follow.
func (w *wire) control(frames []byte) {
	err := w.deadline.Extend()
	if err == nil {
		_, err = w.Conn.Write(frames)
	}
	if err != nil {
		_ = w.Close()
	}
}

// due takes the control frames that are to be sent.
func (w *wire) due() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.pong
	if w.ping {
		b = append(b, finPing, 0)
	}
	w.pong, w.ping = nil, false
	return b
}

func (w *wire) owes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ping || w.pong != nil
}
