//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// relay is a running relay.
type relay struct {
	cmd        *exec.Cmd
	rtmp, http string // host:port
	read       sync.WaitGroup
}

// startRelay runs a relay on free ports and writes its log to a file.
func startRelay(ctx context.Context, program, log string) (*relay, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	r := &relay{cmd: exec.CommandContext(ctx, program, "serve", "--log.format", "json", "--rtmp.listen", "127.0.0.1:0",
		"--http.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0", "--webrtc.udp_listen", "127.0.0.1:0")}
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.cmd.Stderr = r.cmd.Stdout
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start relay: %w", err)
	}
	lines := bufio.NewScanner(io.TeeReader(pipe, out))
	for (r.rtmp == "" || r.http == "") && lines.Scan() {
		var l struct{ Msg, Component, Addr string }
		_ = json.Unmarshal(lines.Bytes(), &l)
		switch {
		case l.Msg == "listening" && l.Component == "rtmp":
			r.rtmp = l.Addr
		case l.Msg == "listening" && l.Component == "http":
			r.http = l.Addr
		}
	}
	r.read.Go(func() {
		defer out.Close() //nolint:errcheck // a log
		for lines.Scan() {
		}
		_, _ = io.Copy(out, pipe)
	})
	if r.rtmp == "" || r.http == "" {
		r.stop()
		return nil, errors.New("start relay: it does not listen; see " + log)
	}
	return r, nil
}

func (r *relay) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	r.read.Wait()
	_ = r.cmd.Wait()
}
