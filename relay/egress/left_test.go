package egress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestLeft(t *testing.T) {
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want string
	}{
		{"closed", t.Context(), io.EOF, ""},
		{"write timed out", t.Context(), fmt.Errorf("write: %w", os.ErrDeadlineExceeded), "viewer dropped"},
		{"relay shutting down", closed, os.ErrDeadlineExceeded, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			Left(c.ctx, slog.New(slog.NewTextHandler(&b, nil)), c.err)
			if got := b.String(); got != "" != (c.want != "") || !strings.Contains(got, c.want) {
				t.Errorf("logged %q, want %q", got, c.want)
			}
		})
	}
}
