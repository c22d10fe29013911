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

// VLC drops its decoder's state when its input falls behind what it buffers, and filler refers to
// frames before it. So a long hold shows whether filler comes fast enough: the picture stands, is
// never grey, and VLC's latency is afterwards what it was.
func TestVLCOverAHold(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "cvlc")
	r := start(t)
	const stream = "live/cam"
	push := reordering(t, r.url("rtmp", "/"+stream))
	r.live(stream)
	v := watchVLC(t, r.url("http", "/"+stream+".flv"))
	v.await("a picture", func(p vlcPicture) bool { return !p.grey })
	wait(t, 4*time.Second)
	push.kill()
	r.broke(0)
	broke := time.Now()
	wait(t, 12*time.Second)
	// What VLC had buffered has been shown long before the half of the hold.
	var held *vlcPicture
	for _, p := range v.pictures.all() {
		if p.at.Before(broke.Add(6 * time.Second)) {
			continue
		}
		if held == nil {
			held = &p
		}
		if p.sum != held.sum {
			t.Errorf("the held picture changed %v after the break", p.at.Sub(broke))
			break
		}
	}
	if held == nil {
		t.Error("VLC showed no picture while the stream was held")
	}
	reordering(t, r.url("rtmp", "/"+stream))
	r.resumed(0)
	back := time.Now()
	v.await("another picture than the held one", func(p vlcPicture) bool { return held != nil && p.at.After(back) && p.sum != held.sum })
	if took := time.Since(back); took > 5*time.Second {
		t.Errorf("VLC showed the returned stream %v after it had resumed, want within 5s", took)
	}
	wait(t, 3*time.Second)
	for _, p := range v.pictures.all() {
		if p.grey {
			t.Errorf("grey picture %v after the break", p.at.Sub(broke))
			break
		}
	}
	if t.Failed() {
		t.Logf("VLC said:\n%s", v.output())
	}
}

// vlcPicture is a picture that VLC showed.
type vlcPicture struct {
	at   time.Time
	sum  uint64
	grey bool // most of it has no colour: it was decoded from a reference that is missing
}

// vlc is VLC with the pictures that it shows.
type vlc struct {
	*program
	pictures *list[vlcPicture]
}

// watchVLC has VLC play an address. It shows its pictures by writing them into a named pipe.
func watchVLC(t *testing.T, url string) *vlc {
	t.Helper()
	dir := t.TempDir()
	// VLC refuses to run as root, and whoever it runs as has to come at the pipe.
	for path, mode := range map[string]os.FileMode{dir: 0o777, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "pictures")
	if err := errors.Join(syscall.Mkfifo(path, 0o600), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // for writing as well: VLC may open it more than once
	if err != nil {
		t.Fatal(err)
	}
	v := &vlc{pictures: newList[vlcPicture]()}
	var reading sync.WaitGroup
	reading.Go(func() { v.pictures.close(v.read(pipe)) })
	t.Cleanup(func() {
		_ = pipe.Close()
		reading.Wait()
	})
	// It buffers twice as long as by itself, so that a busy machine is no reason to fall behind.
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

// read takes pictures out of the pipe until it is closed.
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
				return fmt.Errorf("%q: %w", line, err)
			}
			continue
		}
		frame := make([]byte, width*height*3/2)
		if _, err := io.ReadFull(in, frame); err != nil {
			return err
		}
		h := fnv.New64a()
		_, _ = h.Write(frame)
		v.pictures.add(vlcPicture{at: time.Now(), sum: h.Sum64(), grey: colourless(frame[width*height:])})
	}
}

// colourless reports whether most of a picture's chroma is in the middle of its range.
func colourless(chroma []byte) bool {
	n := 0
	for _, c := range chroma {
		if c > 124 && c < 132 {
			n++
		}
	}
	return n > len(chroma)/2
}

// await waits for a picture.
func (v *vlc) await(what string, right func(vlcPicture) bool) {
	v.t.Helper()
	if _, _, err := v.pictures.next(within(v.t), 0, right); err != nil {
		v.t.Fatalf("VLC did not show %s: %v\n%s", what, err, v.output())
	}
}
