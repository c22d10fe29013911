package link

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// socket is a connection below TLS. It counts what goes through it, and asks the system
// what has become of that.
type socket struct {
	net.Conn
	raw  syscall.RawConn // nil where there is none to ask
	base uint64          // bytes acknowledged before anything was written here

	sent     atomic.Uint64 // bytes written, those of a write in progress included
	received atomic.Uint64
	handling atomic.Int64 // when the bytes were read that are being handled, Unix nanoseconds; 0 while a read waits
}

// tcpInfo is what the system knows of a TCP connection.
type tcpInfo struct {
	acked            uint64 // bytes that the far side's TCP has acknowledged
	rtt, rttvar      time.Duration
	segments, resent uint64
}

// newSocket sees to it that a dead far side is noticed within userTimeout, and that what
// it does not take waits here and not in the system. Where that cannot be had, the write
// deadline and the acknowledgements have to do.
func newSocket(c net.Conn, userTimeout time.Duration) *socket {
	s := &socket{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
			tune(raw, userTimeout)
			info, _ := s.info()
			s.base = info.acked
		}
	}
	return s
}

func (s *socket) Write(b []byte) (int, error) {
	s.sent.Add(uint64(len(b)))
	n, err := s.Conn.Write(b)
	if missing := len(b) - n; missing > 0 {
		s.sent.Add(-uint64(missing)) //nolint:gosec // a subtraction
	}
	return n, err
}

func (s *socket) Read(b []byte) (int, error) {
	s.handling.Store(0)
	n, err := s.Conn.Read(b)
	s.received.Add(uint64(n)) //nolint:gosec // not negative
	s.handling.Store(time.Now().UnixNano())
	return n, err
}

// handlingMost is how long bytes that were read may take to handle: beyond it the reader
// waits for something else.
const handlingMost = 5 * time.Second

// unread reports whether received bytes wait in the socket, or are being handled.
func (s *socket) unread() bool {
	if at := s.handling.Load(); at != 0 && time.Since(time.Unix(0, at)) < handlingMost {
		return true
	}
	return s.raw != nil && unreadBytes(s.raw) > 0
}

// CloseWrite ends this side's direction.
func (s *socket) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// info asks the system; false where it does not tell.
func (s *socket) info() (tcpInfo, bool) {
	if s.raw == nil {
		return tcpInfo{}, false
	}
	info, ok := readInfo(s.raw)
	if !ok || info.acked < s.base {
		return tcpInfo{}, false
	}
	info.acked -= s.base
	return info, true
}
