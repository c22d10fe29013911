//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// publisher is an encoder that pushes stamped frames and tones through a proxy that can hold its bytes
// back.
type publisher struct {
	cmd   *exec.Cmd
	gate  *gate
	pipe  *io.PipeReader
	stop  chan struct{}
	drawn sync.WaitGroup
}

// publish starts to push a stream to an RTMP address.
func publish(ctx context.Context, began time.Time, addr, stream string, width, height int) (*publisher, error) {
	g, err := newGate(ctx, addr)
	if err != nil {
		return nil, err
	}
	p := &publisher{gate: g, stop: make(chan struct{})}
	heard, audio, err := os.Pipe()
	if err != nil {
		g.close()
		return nil, err
	}
	var in *io.PipeWriter
	p.pipe, in = io.Pipe()
	p.cmd = exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-v", "error", //nolint:gosec // arguments of this program's own
		"-f", "rawvideo", "-pix_fmt", "gray", "-video_size", fmt.Sprintf("%dx%d", width, height), "-framerate", fmt.Sprint(pictureRate),
		"-probesize", "32", "-analyzeduration", "0", "-i", "pipe:0",
		"-f", "s16le", "-ar", fmt.Sprint(audioRate), "-ac", "2", "-probesize", "32", "-analyzeduration", "0", "-i", "pipe:3",
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", "-nal-hrd", "cbr",
		"-pix_fmt", "yuv420p", "-g", "60", "-bf", "2", "-c:a", "aac", "-ac", "2", "-b:a", "128k", "-flush_packets", "1",
		"-f", "flv", "rtmp://"+g.addr()+"/"+stream)
	p.cmd.Stdin, p.cmd.ExtraFiles = p.pipe, []*os.File{heard}
	if err := p.cmd.Start(); err != nil {
		_, _ = heard.Close(), audio.Close()
		g.close()
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	_ = heard.Close()
	p.drawn.Go(func() { generate(in, audio, began, width, height, p.stop) })
	return p, nil
}

// generate writes video and audio in real time, until stop is closed or a reader is closed. The same
// position in both has the same time, however late it is written.
func generate(video io.Writer, audio io.WriteCloser, began time.Time, width, height int, stop <-chan struct{}) {
	defer audio.Close() //nolint:errcheck // a pipe
	start := time.Since(began)
	frame := make([]byte, width*height)
	var samples []byte
	made := int64(start) * audioRate / int64(time.Second)
	for n := 0; ; n++ {
		at := start + time.Duration(n)*time.Second/pictureRate
		select {
		case <-stop:
			return
		case <-time.After(time.Until(began.Add(at))):
		}
		until := int64(at) * audioRate / int64(time.Second)
		samples, made = appendAudio(samples[:0], made, until), until
		if _, err := audio.Write(samples); err != nil {
			return
		}
		drawFrame(frame, width, height, uint32(at.Milliseconds())) //nolint:gosec // hours
		if _, err := video.Write(frame); err != nil {
			return
		}
	}
}

// kill kills the encoder, as a crash would.
func (p *publisher) kill() {
	select {
	case <-p.stop:
		return
	default:
	}
	close(p.stop)
	_ = p.cmd.Process.Kill()
	_ = p.pipe.CloseWithError(io.ErrClosedPipe)
	p.drawn.Wait()
	_ = p.cmd.Wait()
	p.gate.close()
}

// gate forwards one TCP connection. While it is shut, no data passes and the connection stays open.
type gate struct {
	listener net.Listener
	mu       sync.Mutex // locked while the gate is shut
	conns    []net.Conn
	copies   sync.WaitGroup
}

func newGate(ctx context.Context, to string) (*gate, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{listener: l}
	g.copies.Go(func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
		if err != nil {
			_ = in.Close()
			return
		}
		g.conns = []net.Conn{in, out}
		g.copies.Go(func() { g.copy(out, in) })
		g.copy(in, out)
	})
	return g, nil
}

func (g *gate) addr() string { return g.listener.Addr().String() }

func (g *gate) copy(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		g.mu.Lock()
		g.mu.Unlock() //nolint:staticcheck // blocks while the gate is shut
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}

func (g *gate) shut() { g.mu.Lock() }
func (g *gate) open() { g.mu.Unlock() }

// close closes the connections and waits for their goroutines. The gate must be open.
func (g *gate) close() {
	_ = g.listener.Close()
	g.copies.Wait()
}
