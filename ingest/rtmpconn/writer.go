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
	tcp     *net.TCPConn // nc if it is plain TCP, which can write several buffers at once; else nil
	timeout time.Duration

	// lock is held while writing, and guards the fields below. It is a channel and not a mutex,
	// because it is held while a write blocks.
	lock   chan struct{}
	fixed  bool      // the deadline of the handshake applies to writes
	armed  time.Time // current write deadline
	failed error     // first write error; nothing may follow a message that may be incomplete
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

// tryWrite is like write, except that it returns false without writing if another goroutine is
// writing.
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

// writeBuffers writes complete messages from several buffers. On plain TCP it uses one system call.
// It consumes bufs.
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

// locked calls write with a write deadline at least as far away as the timeout. The caller holds
// the lock.
func (w *writer) locked(write func() error) error {
	if w.failed != nil {
		return w.failed
	}
	// Setting a deadline costs as much as a small write, so it is set at most once per quarter of
	// the timeout.
	if now := time.Now(); !w.fixed && w.armed.Sub(now) < w.timeout {
		w.armed = now.Add(w.timeout + w.timeout/4)
		if w.failed = w.nc.SetWriteDeadline(w.armed); w.failed != nil {
			return w.failed
		}
	}
	w.failed = write()
	return w.failed
}

// setTimeout sets how long a write may block. The deadline of the handshake then no longer applies
// to writes.
func (w *writer) setTimeout(d time.Duration) {
	w.lock <- struct{}{}
	w.timeout, w.armed, w.fixed = d, time.Time{}, false
	<-w.lock
}

// blockSize is the maximum number of bytes that coalesce writes at once.
const blockSize = 32 << 10

var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// coalesce copies buffers into blocks and writes these, for connections that cannot write several
// buffers at once. Over TLS, each buffer would become a record and a system call of its own.
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
