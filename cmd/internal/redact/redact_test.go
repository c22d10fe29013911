package redact

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	var s Secrets
	s.Set("admin-S3cr3t", "short6", "k")
	log := s.Logger(slog.New(slog.NewTextHandler(&out, nil))).With("stream", "live/short6").WithGroup("g")
	log.Info("with admin-S3cr3t", "err", fmt.Errorf("dial: %w", errors.New("rtmp://h/x?key=hush")), "n", 7, slog.Group("in", "url", "a?token=hush"), "k", "k short6")
	for _, secret := range []string{"S3cr3t", "hush", "live/short6"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s shows in %s", secret, out.String())
		}
	}
	for _, want := range []string{"stream=live/***", "g.n=7", `msg="with ***"`, `g.k="k short6"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in %s", want, out.String())
		}
	}
}
