//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pipe is a named pipe into which a player writes each frame when it shows it: as YUV4MPEG2, or the luma
// only, for frames of the screen's size.
type pipe struct {
	file *os.File
	mu   sync.Mutex // guards last
	last sample
}

// pipeName is the name of the pipe in a player's directory.
const pipeName = "frames"

// header is the start of YUV4MPEG2.
const header = "YUV4MPEG2 "

func openPipe(path string) (*pipe, error) {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // the player may be another user
		return nil, err
	}
	// Open for writing too, since the player reopens the pipe for each size.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &pipe{file: f, last: sample{blank: true}}, nil
}

func (p *pipe) close() { _ = p.file.Close() }

// watch samples what the player shows until ctx is done, and closes the pipe.
func (p *pipe) watch(ctx context.Context, began time.Time) ([]sample, error) {
	var reading sync.WaitGroup
	var failed error
	reading.Go(func() { failed = p.read() })
	defer reading.Wait()
	defer p.close()
	var out []sample
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.close()
			reading.Wait()
			if errors.Is(failed, os.ErrClosed) {
				failed = nil
			}
			return out, failed
		case <-tick.C:
		}
		p.mu.Lock()
		s := p.last
		p.mu.Unlock()
		s.at = time.Since(began)
		out = append(out, s)
	}
}

// read reads frames from the pipe until it is closed.
func (p *pipe) read() error {
	in := bufio.NewReaderSize(p.file, 1<<20)
	if head, err := in.Peek(len(header)); err != nil || string(head) != header {
		return p.readLuma(in)
	}
	var width, height int
	var frame []byte
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, header) {
			width, height = parameter(line, 'W'), parameter(line, 'H')
			frame = make([]byte, width*height*3/2)
			continue
		}
		if !strings.HasPrefix(line, "FRAME") || frame == nil {
			return fmt.Errorf("read frame: got %.20q, want FRAME", line)
		}
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		p.show(mean(frame, width, height, 1, 0))
	}
}

func (p *pipe) readLuma(in io.Reader) error {
	frame := make([]byte, screenWidth*screenHeight)
	for {
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		p.show(mean(frame, screenWidth, screenHeight, 1, 0))
	}
}

func (p *pipe) show(l luma) {
	s := readFrame(0, l)
	p.mu.Lock()
	p.last = s
	p.mu.Unlock()
}

// parameter returns a number from a header, or 0 if it is missing.
func parameter(of string, name byte) int {
	for _, f := range strings.Fields(of)[1:] {
		if n, err := strconv.Atoi(f[1:]); err == nil && f[0] == name {
			return n
		}
	}
	return 0
}

// mean returns a luma function of an image, with the mean of nine pixels. Each pixel has bytes bytes, and
// the luma is at offset at.
func mean(pixels []byte, width, height, bytes, at int) luma {
	return func(x, y float64) float64 {
		px, py := int(x*float64(width)/256), int(y*float64(height)/256)
		sum := 0
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				cx, cy := min(max(px+dx, 0), width-1), min(max(py+dy, 0), height-1)
				sum += int(pixels[(cy*width+cx)*bytes+at])
			}
		}
		return float64(sum) / 9
	}
}
