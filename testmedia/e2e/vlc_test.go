//go:build unix

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestVLCOverAHold holds a stream for a long time. VLC drops its decoder's state if its input falls behind
// its buffer, and filler refers to earlier frames. So the test shows whether filler arrives in time: the
// frame stays frozen, is never gray, and VLC's latency afterwards is as before.
func TestVLCOverAHold(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "cvlc")
	r := startRelay(t)
	const stream = "live/cam"
	push := pushReordered(t, r.url("rtmp", "/"+stream))
	r.waitLive(stream)
	v := watchVLC(t, r.url("http", "/"+stream+".flv"))
	v.waitFrame("a frame", func(p vlcFrame) bool { return !p.grey })
	sleep(t, 4*time.Second)
	push.kill()
	r.waitBreak(0)
	broke := time.Now()
	sleep(t, 12*time.Second)
	// The frames that VLC had buffered have all been shown by half of the hold.
	var held *vlcFrame
	for _, p := range v.pictures.all() {
		if p.at.Before(broke.Add(6 * time.Second)) {
			continue
		}
		if held == nil {
			held = &p
		}
		if p.sum != held.sum {
			t.Errorf("the held frame changed %v after the break", p.at.Sub(broke))
			break
		}
	}
	if held == nil {
		t.Error("got no frame from VLC during the hold")
	}
	pushReordered(t, r.url("rtmp", "/"+stream))
	r.waitResume(0)
	back := time.Now()
	v.waitFrame("another frame than the held one", func(p vlcFrame) bool { return held != nil && p.at.After(back) && p.sum != held.sum })
	if took := time.Since(back); took > 5*time.Second {
		t.Errorf("VLC showed the stream %v after it had resumed, want at most 5s", took)
	}
	sleep(t, 3*time.Second)
	for _, p := range v.pictures.all() {
		if p.grey {
			t.Errorf("got a gray frame %v after the break", p.at.Sub(broke))
			break
		}
	}
	if t.Failed() {
		t.Logf("output of VLC:\n%s", v.output())
	}
}

// vlcFrame is a frame that VLC showed.
type vlcFrame struct {
	at   time.Time
	sum  uint64
	grey bool // most of it has no color: it was decoded without its reference
}

// vlc is VLC and the frames that it shows.
type vlc struct {
	*program
	pictures *list[vlcFrame]
}

// watchVLC plays a URL with VLC, which writes the frames that it shows to a named pipe.
func watchVLC(t *testing.T, url string) *vlc {
	t.Helper()
	dir := t.TempDir()
	// VLC refuses to run as root, so another user must be able to open the pipe.
	for path, mode := range map[string]os.FileMode{dir: 0o777, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "frames")
	if err := errors.Join(syscall.Mkfifo(path, 0o600), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // open for writing too, since VLC may open it more than once
	if err != nil {
		t.Fatal(err)
	}
	v := &vlc{pictures: newList[vlcFrame]()}
	var reading sync.WaitGroup
	reading.Go(func() { v.pictures.close(v.read(pipe)) })
	t.Cleanup(func() {
		_ = pipe.Close()
		reading.Wait()
	})
	// Twice the default buffer, so that a busy machine does not make it fall behind.
	cmd := exec.Command("cvlc", "-I", "dummy", "--no-audio", "--network-caching=2000", "--no-osd", "--no-video-title-show",
		"--vout=yuv", "--yuv-chroma=I420", "--yuv-yuv4mpeg2", "--yuv-file="+path, "-v", url)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir)
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	v.program = launchCommand(t, cmd)
	return v
}

// read reads frames from the pipe until it is closed.
func (v *vlc) read(pipe io.Reader) error {
	in := bufio.NewReaderSize(pipe, 1<<20)
	var width, height int
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "YUV4MPEG2 ") {
			if _, err := fmt.Sscanf(line, "YUV4MPEG2 W%d H%d", &width, &height); err != nil {
				return fmt.Errorf("read frame %q: %w", line, err)
			}
			continue
		}
		frame := make([]byte, width*height*3/2)
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		h := fnv.New64a()
		_, _ = h.Write(frame)
		v.pictures.add(vlcFrame{at: time.Now(), sum: h.Sum64(), grey: colourless(frame[width*height:])})
	}
}

// colourless reports whether most of a frame's chroma is in the middle of its range.
func colourless(chroma []byte) bool {
	n := 0
	for _, c := range chroma {
		if c > 124 && c < 132 {
			n++
		}
	}
	return n > len(chroma)/2
}

// waitFrame waits for a frame for which right returns true.
func (v *vlc) waitFrame(what string, right func(vlcFrame) bool) {
	v.t.Helper()
	if _, _, err := v.pictures.waitFor(waitContext(v.t), 0, right); err != nil {
		v.t.Fatalf("wait for VLC to show %s: %v\n%s", what, err, v.output())
	}
}
