package mse

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
)

// wire is the connection under a WebSocket. Only complete frames are written to it, one at a time.
// The WebSocket library writes one frame per Write. The viewer bypasses the library for chunks and
// pings: a chunk is then one frame and one system call, and a ping may wait until other frames are
// written, without a timeout.
type wire struct {
	net.Conn
	gather   net.Conn        // writes several buffers in one system call, where supported
	turn     chan struct{}   // a lock of capacity 1, held while writing
	deadline egress.Deadline // used by the goroutine that holds turn

	mu   sync.Mutex // guards the fields below
	ping bool       // a ping is due
	pong []byte     // pong frame that is due; nil if none
}

// Opcodes with the FIN bit (RFC 6455, 5.2), and maximum sizes in bytes.
const (
	finBinary = 0x82
	finPing   = 0x89
	finPong   = 0x8a

	maxControl = 125 // payload of a control frame
	maxHeader  = 10
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

// limitRemaining limits all remaining writes and reads to one second in total.
func (w *wire) limitRemaining() {
	w.deadline.End()
	_ = w.SetReadDeadline(time.Now().Add(closeTimeout)) // fails on a closed connection
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

// writeBinary writes one binary message that consists of head and data.
func (w *wire) writeBinary(head, data []byte) error {
	bufs := net.Buffers{append(frameHeader(len(head)+len(data)), head...), data}
	w.turn <- struct{}{}
	defer w.release()
	if err := w.deadline.Extend(); err != nil {
		return err
	}
	_, err := bufs.WriteTo(w.gather)
	return err
}

// frameHeader returns the header of a binary message in one frame.
func frameHeader(size int) []byte {
	b := append(make([]byte, 0, maxHeader+8), finBinary)
	switch {
	case size <= maxControl:
		return append(b, byte(size))
	case size <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size)) //nolint:gosec // checked
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size)) //nolint:gosec // not negative
}

// sendPing sends a ping at once, or when the frame that is being sent is complete.
func (w *wire) sendPing() {
	w.mu.Lock()
	w.ping = true
	w.mu.Unlock()
	w.flushControl()
}

// sendPong sends the answer to a ping at once, or when the frame that is being sent is complete. It
// replaces an earlier pong that has not been sent.
func (w *wire) sendPong(ping []byte) {
	if len(ping) > maxControl {
		return
	}
	w.mu.Lock()
	w.pong = append([]byte{finPong, byte(len(ping))}, ping...)
	w.mu.Unlock()
	w.flushControl()
}

// release releases turn, and sends control frames that have become due meanwhile.
func (w *wire) release() {
	<-w.turn
	w.flushControl()
}

// flushControl sends the control frames that are due. If another goroutine is writing, that
// goroutine sends them when it is done.
func (w *wire) flushControl() {
	for {
		select {
		case w.turn <- struct{}{}:
		default:
			return
		}
		due := w.takeDue()
		if len(due) > 0 {
			w.writeControl(due)
		}
		<-w.turn
		if len(due) == 0 && !w.hasDue() {
			return
		}
	}
}

// writeControl writes control frames. It closes the connection if it fails, because nothing can
// follow a partial frame.
func (w *wire) writeControl(frames []byte) {
	err := w.deadline.Extend()
	if err == nil {
		_, err = w.Conn.Write(frames)
	}
	if err != nil {
		_ = w.Close()
	}
}

// takeDue returns and clears the due control frames.
func (w *wire) takeDue() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.pong
	if w.ping {
		b = append(b, finPing, 0)
	}
	w.pong, w.ping = nil, false
	return b
}

func (w *wire) hasDue() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ping || w.pong != nil
}
