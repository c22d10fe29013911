package link

import (
	"bufio"
	"fmt"
	"io"

	"github.com/yutopp/go-rtmp/handshake"
)

// rtmpVersion is the first byte of either side.
const rtmpVersion = 3

// shake does the client's handshake on conn, reading from r. It writes in whole pieces:
// go-rtmp would send its four fields in four segments.
func shake(r *bufio.Reader, conn io.Writer) error {
	s := &shaker{r: r, w: bufio.NewWriterSize(conn, 4<<10)}
	err := handshake.HandshakeWithServer(s, s.w, &handshake.Config{SkipHandshakeVerification: true})
	if err != nil {
		return err
	}
	return s.w.Flush()
}

// shaker sends what was written before it waits for an answer, and looks at the answer's
// first byte, which go-rtmp does not.
type shaker struct {
	r       *bufio.Reader
	w       *bufio.Writer
	started bool
}

func (s *shaker) Read(p []byte) (int, error) {
	if err := s.w.Flush(); err != nil {
		return 0, err
	}
	if !s.started {
		first, err := s.r.Peek(1)
		if err != nil {
			return 0, err
		}
		if first[0] != rtmpVersion {
			return 0, fmt.Errorf("%w: its first byte is %#02x", ErrNotRTMP, first[0])
		}
		s.started = true
	}
	return s.r.Read(p)
}
