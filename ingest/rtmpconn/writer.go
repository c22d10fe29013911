package rtmpconn

import (
	"net"
	"sync"
	"time"
)

// writer writes complete messages to a connection, one call at a time. Its methods may be
// called from any goroutine.
type writer struct {
	nc      net.Conn
	tcp     *net.TCPConn // nc if it is plain TCP, which can gather; else nil
	timeout time.Duration

	// lock is a mutex, as a channel because it is held while time passes. It guards what
	// follows, and the right to write.
	lock   chan struct{}
	fixed  bool      // the deadline of the handshake holds for writes too
	armed  time.Time // the write deadline that is set
	failed error     // a message may be incomplete: nothing can follow it
}

func newWriter(nc net.Conn, timeout time.Duration) *writer {
	tcp, _ := nc.(*net.TCPConn)
	return &writer{nc: nc, tcp: tcp, timeout: timeout, fixed: true, lock: make(chan struct{}, 1)}
}

// write writes one or more complete messages.
func (w *writer) write(p []byte) error {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	return w.locked(func() error {
		_, err := w.nc.Write(p)
		return err
	})
}

// Write implements io.Writer, for the handshake.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// tryWrite is write, unless another goroutine is writing; then it returns false.
func (w *writer) tryWrite(p []byte) (bool, error) {
	select {
	case w.lock <- struct{}{}:
	default:
		return false, nil
	}
	defer func() { <-w.lock }()
	return true, w.locked(func() error {
		_, err := w.nc.Write(p)
		return err
	})
}

// writeBuffers writes complete messages that are in several buffers, over plain TCP with one
// system call. It consumes bufs.
func (w *writer) writeBuffers(bufs *net.Buffers) error {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	return w.locked(func() error {
		if w.tcp != nil {
			_, err := bufs.WriteTo(w.tcp)
			return err
		}
		return coalesce(w.nc, bufs)
	})
}

// locked calls write with a deadline that is at least the timeout away. The caller holds the
// lock.
func (w *writer) locked(write func() error) error {
	if w.failed != nil {
		return w.failed
	}
	// Setting a deadline costs as much as a small write: once in a quarter of the timeout is
	// enough.
	if now := time.Now(); !w.fixed && w.armed.Sub(now) < w.timeout {
		w.armed = now.Add(w.timeout + w.timeout/4)
		if w.failed = w.nc.SetWriteDeadline(w.armed); w.failed != nil {
			return w.failed
		}
	}
	w.failed = write()
	return w.failed
}

// setTimeout sets how long a write may block. From then on the deadline of the handshake
// does not hold.
func (w *writer) setTimeout(d time.Duration) {
	w.lock <- struct{}{}
	w.timeout, w.armed, w.fixed = d, time.Time{}, false
	<-w.lock
}

// blockSize is how many bytes coalesce writes at once.
const blockSize = 32 << 10

var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// coalesce writes buffers where they cannot be gathered: over TLS each of them would become a
// record and a system call of its own.
func coalesce(nc net.Conn, bufs *net.Buffers) error {
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	n := 0
	for _, b := range *bufs {
		for len(b) > 0 {
			k := copy(block[n:], b)
			n, b = n+k, b[k:]
			if n == blockSize {
				if _, err := nc.Write(block[:n]); err != nil {
					return err
				}
				n = 0
			}
		}
	}
	*bufs = nil
	if n == 0 {
		return nil
	}
	_, err := nc.Write(block[:n])
	return err
}
