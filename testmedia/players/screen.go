//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// screen is a virtual X server whose pixels are in a file.
type screen struct {
	display string
	cmd     *exec.Cmd
	file    string
}

const screenWidth, screenHeight = 640, 360

// startScreen starts an X server on a free display. The video is at the top, with some lines below it.
func startScreen(ctx context.Context, dir string, below int) (*screen, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()                                                            //nolint:errcheck // read only
	cmd := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-screen", "0", //nolint:gosec // arguments of this program's own
		fmt.Sprintf("%dx%dx24", screenWidth, screenHeight+below),
		"-fbdir", dir, "-nolisten", "tcp", "-ac")
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start Xvfb: %w", err)
	}
	_ = w.Close()
	var number int
	if _, err := fmt.Fscan(r, &number); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("start Xvfb: no display: %w", err)
	}
	return &screen{display: fmt.Sprintf(":%d", number), cmd: cmd, file: filepath.Join(dir, "Xvfb_screen0")}, nil
}

func (s *screen) close() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// sampleInterval is the time between two samples.
const sampleInterval = 50 * time.Millisecond

// watch samples the screen until ctx is done.
func (s *screen) watch(ctx context.Context, began time.Time) ([]sample, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	var head [52]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	// The file is an X window dump. Its header contains the length of the header, the length of a line and
	// the number of colour map entries of 12 bytes each.
	header, _ := f.Stat()
	line := screenWidth * 4
	size := line * screenHeight
	pixels := make([]byte, size)
	offset := int64(binary.BigEndian.Uint32(head[0:])) + 12*int64(colors(f))
	if offset+int64(size) > header.Size() {
		return nil, fmt.Errorf("read %s: only %d bytes", s.file, header.Size())
	}
	var out []sample
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return out, nil
		case <-tick.C:
		}
		at := time.Since(began)
		if _, err := f.ReadAt(pixels, offset); err != nil {
			return out, err
		}
		out = append(out, readFrame(at, mean(pixels, screenWidth, screenHeight, 4, 1)))
	}
}

// colors returns the number of entries of the colour map.
func colors(f *os.File) uint32 {
	var b [4]byte
	if _, err := f.ReadAt(b[:], 19*4); err != nil {
		return 0
	}
	return binary.BigEndian.Uint32(b[:])
}
