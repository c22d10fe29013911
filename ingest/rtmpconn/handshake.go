package rtmpconn

import (
	"errors"
	"fmt"
	"io"

	"github.com/yutopp/go-rtmp/handshake"
)

// ErrNotRTMP is wrapped by the error of a handshake whose peer speaks another protocol, or
// another version of this one.
var ErrNotRTMP = errors.New("the peer does not speak RTMP")

// version is C0 and S0, the first byte of either side.
const version = 3

// handshakeSize is the size in bytes of S0, S1 and S2, and of C0, C1 and C2.
const handshakeSize = 1 + 2*1536

// handshakeConfig accepts any echo: several encoders do not send what they were sent.
var handshakeConfig = &handshake.Config{SkipHandshakeVerification: true}

// Source is a buffered reader, such as a *bufio.Reader.
type Source interface {
	io.Reader
	// Buffered returns the number of bytes that can be read without waiting.
	Buffered() int
}

// ClientHandshake does the client's side of the simple handshake. Deadlines are the
// caller's.
func ClientHandshake(r Source, w io.Writer) error {
	s := &handshakeStream{r: r, w: w}
	return s.finish(handshake.HandshakeWithServer(s, s, handshakeConfig))
}

// ServerHandshake does the server's side of the simple handshake. It sends nothing to a
// client that does not begin with version 3. Deadlines are the caller's.
func ServerHandshake(r Source, w io.Writer) error {
	s := &handshakeStream{r: r, w: w}
	return s.finish(handshake.HandshakeWithClient(s, s, handshakeConfig))
}

// handshakeStream is the connection as go-rtmp's handshake sees it. It coalesces the small
// writes, and checks the version, which go-rtmp does not.
type handshakeStream struct {
	r       Source
	w       io.Writer
	out     []byte // not written yet
	checked bool   // the first byte has been
}

// Read flushes before it waits: the peer may need what was written in order to go on.
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
