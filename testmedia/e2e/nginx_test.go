//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

const nginxModule = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

// nginxConf has one process, whose end by a signal is the end of everything. Recordings of
// connections that begin in different seconds have different names.
const nginxConf = `load_module %[1]s;
daemon off; master_process off; worker_processes 1; user root;
pid %[2]s/pid; error_log %[2]s/error.log info;
events { worker_connections 256; }
rtmp {
	server {
		listen %[3]s;
		application live { live on; record all; record_unique on; record_path %[2]s/recording; }
		application shut { live on; deny publish all; }
		application asking { live on; on_publish %[4]s; }
	}
}
`

// nginx is an nginx-rtmp, which records what it takes. Its address outlives its end by kill.
type nginx struct {
	t         testing.TB
	program   string
	addr, dir string
	under     []string // the command that runs it, if any: in a network namespace
	running   *program
	kills     int
}

// nginxRTMP runs one on a free port.
func nginxRTMP(t testing.TB) *nginx {
	t.Helper()
	return nginxAt(t, freeAddr(t), "http://127.0.0.1:9/")
}

// freeAddr is for programs that cannot take a free port themselves.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// nginxAt runs one at an address, which asks the hook who may publish to the application
// asking.
func nginxAt(t testing.TB, addr, hook string, under ...string) *nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil { // where Debian has it, and a user's path has not
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	if _, none := os.Stat(nginxModule); err != nil || none != nil {
		lacks(t, "nginx-rtmp is not installed")
	}
	n := &nginx{t: t, program: program, addr: addr, dir: t.TempDir(), under: under}
	for _, dir := range []string{"recording", "recorded"} {
		if err := os.Mkdir(filepath.Join(n.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Appendf(nil, nginxConf, nginxModule, n.dir, addr, hook)
	if err := os.WriteFile(n.file("nginx.conf"), conf, 0o600); err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(func() {
		if said, _ := os.ReadFile(n.file("error.log")); t.Failed() {
			t.Logf("nginx at %s said:\n%s", addr, said[max(0, len(said)-4<<10):])
		}
	})
	return n
}

func (n *nginx) file(name string) string { return filepath.Join(n.dir, name) }

// start runs it and waits until it listens.
func (n *nginx) start() {
	n.t.Helper()
	// The packaged nginx opens its own log before it has read where ours is.
	args := append(n.under, n.program, "-p", n.dir, "-e", n.file("error.log"), "-c", n.file("nginx.conf"))
	n.running = launch(n.t, args[0], args[1:]...)
	until(n.t, "nginx listens", func() bool {
		c, err := net.DialTimeout("tcp", n.addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill ends it as a crash does: no connection is told anything.
func (n *nginx) kill() {
	n.t.Helper()
	n.running.kill()
	n.kills++
	for _, file := range n.glob("recording/*.flv") {
		if err := os.Rename(file, n.file(fmt.Sprintf("recorded/%d-%s", n.kills, filepath.Base(file)))); err != nil {
			n.t.Fatal(err)
		}
	}
}

func (n *nginx) glob(pattern string) []string {
	n.t.Helper()
	files, err := filepath.Glob(n.file(pattern))
	if err != nil {
		n.t.Fatal(err)
	}
	return files
}

// recordings are the files so far, one for each connection.
func (n *nginx) recordings() []string {
	n.t.Helper()
	return append(n.glob("recorded/*.flv"), n.glob("recording/*.flv")...)
}

// watch plays a stream from it, one that is not there yet included.
func (n *nginx) watch(stream string) *viewer {
	n.t.Helper()
	c, err := openOn(n.t, n.addr, "play", stream, nil)
	if err != nil {
		n.t.Fatalf("play from nginx: %v", err)
	}
	return watchClient(n.t, c, false)
}

// tags reads a recording, of which the last tag may not be whole.
func tags(t testing.TB, file string) []flv.RawTag {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []flv.RawTag
	for reader := flv.NewReader(f, 0); ; {
		tag, err := reader.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
		out = append(out, tag)
	}
}
