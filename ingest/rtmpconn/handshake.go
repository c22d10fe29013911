package rtmpconn

import (
	"errors"
	"fmt"
	"io"

	"github.com/yutopp/go-rtmp/handshake"
)

// ErrNotRTMP is wrapped by the error of a handshake with a peer that uses another protocol, or
// another version of RTMP.
var ErrNotRTMP = errors.New("the peer does not speak RTMP")

// version is the protocol version in C0 and S0, the first byte from each side.
const version = 3

// handshakeSize is the size in bytes of S0, S1 and S2, and of C0, C1 and C2.
const handshakeSize = 1 + 2*1536

// handshakeConfig accepts any C2 and S2: several encoders do not echo the bytes that they received.
var handshakeConfig = &handshake.Config{SkipHandshakeVerification: true}

// Source is a buffered reader, such as a *bufio.Reader.
type Source interface {
	io.Reader
	// Buffered returns the number of bytes that can be read without waiting.
	Buffered() int
}

// ClientHandshake performs the client's side of the simple handshake. The caller sets deadlines.
func ClientHandshake(r Source, w io.Writer) error {
	s := &handshakeStream{r: r, w: w}
	return s.finish(handshake.HandshakeWithServer(s, s, handshakeConfig))
}

// ServerHandshake performs the server's side of the simple handshake. If the client does not begin
// with version 3, it sends nothing. The caller sets deadlines.
func ServerHandshake(r Source, w io.Writer) error {
	s := &handshakeStream{r: r, w: w}
	return s.finish(handshake.HandshakeWithClient(s, s, handshakeConfig))
}

// handshakeStream is the connection that go-rtmp's handshake reads and writes. It combines small
// writes. It also checks the version, which go-rtmp does not do.
type handshakeStream struct {
	r       Source
	w       io.Writer
	out     []byte // not written yet
	checked bool   // the first byte has been checked
}

// Read implements io.Reader. It flushes before it waits, because the peer may need the written
// bytes in order to continue.
func (s *handshakeStream) Read(p []byte) (int, error) {
	if s.r.Buffered() == 0 {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	n, err := s.r.Read(p)
	if n > 0 && !s.checked {
		if p[0] != version {
			return 0, fmt.Errorf("%w: the first byte is %#02x, want %#02x", ErrNotRTMP, p[0], version)
		}
		s.checked = true
	}
	return n, err
}

func (s *handshakeStream) Write(p []byte) (int, error) {
	if s.out == nil {
		s.out = make([]byte, 0, handshakeSize)
	}
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *handshakeStream) finish(err error) error {
	if err != nil {
		return err
	}
	return s.flush()
}

func (s *handshakeStream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	out := s.out
	s.out = nil
	_, err := s.w.Write(out)
	return err
}
