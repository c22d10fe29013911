package rtmp

import (
	"net"
	"sync"
	"time"
)

// writer lets whole messages through to the socket, one at a time.
type writer struct {
	nc      net.Conn
	tcp     *net.TCPConn // nc, when that is plain TCP: gathers by writev
	timeout time.Duration

	// lock is a mutex that may be held while time passes. It guards what follows, and
	// the right to write.
	lock   chan struct{}
	fixed  bool      // a stranger's: the deadline of the handshake holds for writes too
	armed  time.Time // the write deadline that is set
	failed error     // part of a message may be lost: nothing more may follow
}

func newWriter(nc net.Conn, timeout time.Duration) *writer {
	tcp, _ := nc.(*net.TCPConn)
	return &writer{nc: nc, tcp: tcp, timeout: timeout, fixed: true, lock: make(chan struct{}, 1)}
}

// write writes one or more whole messages.
func (w *writer) write(p []byte) error {
	w.lock <- struct{}{}
	defer func() { <-w.lock }()
	return w.locked(func() error {
		_, err := w.nc.Write(p)
		return err
	})
}

// tryWrite is write, unless somebody else is writing.
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

// gather writes whole messages that are in pieces, in one system call if it can.
func (w *writer) gather(bufs *net.Buffers) error {
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

// locked runs f under the lock with a deadline that is at least the timeout away.
func (w *writer) locked(f func() error) error {
	if w.failed != nil {
		return w.failed
	}
	// Setting a deadline costs as much as a small write: one in a quarter of the
	// timeout is enough.
	if now := time.Now(); !w.fixed && w.armed.Sub(now) < w.timeout {
		w.armed = now.Add(w.timeout + w.timeout/4)
		if w.failed = w.nc.SetWriteDeadline(w.armed); w.failed != nil {
			return w.failed
		}
	}
	w.failed = f()
	return w.failed
}

// setTimeout changes how long a write may stand still. It ends a stranger's deadline.
func (w *writer) setTimeout(d time.Duration) {
	w.lock <- struct{}{}
	w.timeout, w.armed, w.fixed = d, time.Time{}, false
	<-w.lock
}

const coalesced = 32 << 10

var coalescing = sync.Pool{New: func() any { return new([coalesced]byte) }}

// coalesce writes what cannot be gathered: over TLS each buffer would become a record
// and a system call of its own.
func coalesce(nc net.Conn, bufs *net.Buffers) error {
	block := coalescing.Get().(*[coalesced]byte)
	defer coalescing.Put(block)
	n := 0
	for _, b := range *bufs {
		for len(b) > 0 {
			k := copy(block[n:], b)
			n, b = n+k, b[k:]
			if n == coalesced {
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
