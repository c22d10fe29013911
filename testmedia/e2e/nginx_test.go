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

// nginxConf configures a single process, so that killing it ends everything. Recordings of connections
// that begin in different seconds have different names.
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

// nginx is an nginx-rtmp that records what it receives. Its address stays the same after kill.
type nginx struct {
	t         testing.TB
	program   string
	addr, dir string
	under     []string // command that runs nginx, if any, as in a network namespace
	running   *program
	kills     int
}

// startNginxRTMP runs nginx-rtmp on a free port.
func startNginxRTMP(t testing.TB) *nginx {
	t.Helper()
	return startNginx(t, freeAddr(t), "http://127.0.0.1:9/")
}

// freeAddr returns a free address for programs that cannot listen on port 0.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// startNginx runs nginx at an address. For the application asking, nginx calls the hook on publish.
func startNginx(t testing.TB, addr, hook string, under ...string) *nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil { // Debian's location, which may not be in the PATH
		program, err = exec.LookPath("/usr/sbin/nginx")
	}
	if _, none := os.Stat(nginxModule); err != nil || none != nil {
		skipOrFail(t, "nginx-rtmp is not installed")
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
		if output, _ := os.ReadFile(n.file("error.log")); t.Failed() {
			t.Logf("output of nginx at %s:\n%s", addr, output[max(0, len(output)-4<<10):])
		}
	})
	return n
}

func (n *nginx) file(name string) string { return filepath.Join(n.dir, name) }

// start runs nginx and waits until it listens.
func (n *nginx) start() {
	n.t.Helper()
	// The packaged nginx opens its own log before it has read the location of ours.
	args := append(n.under, n.program, "-p", n.dir, "-e", n.file("error.log"), "-c", n.file("nginx.conf"))
	n.running = launch(n.t, args[0], args[1:]...)
	waitUntil(n.t, "nginx listens", func() bool {
		c, err := net.DialTimeout("tcp", n.addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill kills nginx, as a crash would.
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

// recordings returns the files so far, one for each connection.
func (n *nginx) recordings() []string {
	n.t.Helper()
	return append(n.glob("recorded/*.flv"), n.glob("recording/*.flv")...)
}

// watch plays a stream from nginx, which may not exist yet.
func (n *nginx) watch(stream string) *viewer {
	n.t.Helper()
	c, err := openClient(n.t, n.addr, "play", stream, nil)
	if err != nil {
		n.t.Fatalf("play from nginx: %v", err)
	}
	return watchClient(n.t, c, false)
}

// readTags reads a recording, whose last tag may be incomplete.
func readTags(t testing.TB, file string) []flv.RawTag {
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
