package rtmpconn

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

func TestEndingOf(t *testing.T) {
	read := func(err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	}
	for _, tt := range []struct {
		err  error
		want ingest.Cause
		gone bool
	}{
		{io.EOF, ingest.EOF, true},
		{io.ErrUnexpectedEOF, ingest.EOF, true},
		{read(syscall.ECONNRESET), ingest.Reset, true},
		{read(syscall.EPIPE), ingest.Reset, true},
		{net.ErrClosed, ingest.Reset, true},
		{read(syscall.ETIMEDOUT), ingest.Timeout, true},
		{read(syscall.EHOSTUNREACH), ingest.Timeout, true},
		{os.ErrDeadlineExceeded, ingest.Timeout, true},
		{violation("this and %s", "that"), ingest.Protocol, false},
		{fmt.Errorf("read: %w", wire.ErrTooLarge), ingest.Protocol, false},
		{wire.ErrBadAMF, ingest.Protocol, false},
	} {
		if e := endingOf(tt.err); e.cause != tt.want || e.gone != tt.gone || e.reason == "" {
			t.Errorf("%v: %+v", tt.err, e)
		}
	}
}
