//go:build unix

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// snippet returns the first code block of a language in a document of the repository.
func snippet(t testing.TB, document, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", document))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n```"+language+"\n")
	block, _, ended := strings.Cut(after, "\n```\n")
	if !found || !ended {
		t.Fatalf("no block of %[2]s in %[1]s", document, language)
	}
	return block
}

// replaceOnce replaces a text, which must occur once.
func replaceOnce(t testing.TB, text, old, fresh string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("got %q %d times, want once", old, n)
	}
	return strings.Replace(text, old, fresh, 1)
}

// startNginxProxy runs Debian's nginx in front of a relay, with the configuration in configs/README.md. It
// returns the relay as viewers behind nginx see it.
func startNginxProxy(t testing.TB, r *relay) *relay {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			skipOrFail(t, "nginx is not installed")
		}
	}
	dir, addr := t.TempDir(), freeAddr(t)
	conf := snippet(t, "configs/README.md", "nginx")
	conf = replaceOnce(t, conf, "listen 80;", "listen "+addr+";")
	conf = replaceOnce(t, conf, "server 127.0.0.1:8080;", "server "+r.addrs["http"]+";")
	conf = replaceOnce(t, conf, "/var/log/nginx/holdfast.log", filepath.Join(dir, "access.log"))
	whole := fmt.Sprintf("daemon off; master_process off; user root; pid %[1]s/pid; error_log %[1]s/error.log info;\n"+
		"events { worker_connections 512; }\nhttp {\nclient_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;\n%[2]s\n}\n", dir, conf)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, program, "-c", file, "-e", filepath.Join(dir, "error.log"))
	via := &relay{t: t, addrs: map[string]string{"rtmp": r.addrs["rtmp"], "admin": r.addrs["admin"], "http": addr}}
	waitUntil(t, "nginx serves", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	t.Cleanup(func() {
		log, _ := os.ReadFile(filepath.Join(dir, "access.log"))
		if strings.Contains(string(log), "?") || !strings.Contains(string(log), "/live/cam") {
			t.Errorf("access log:\n%.2000s", log)
		}
		if output, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
			t.Logf("output of nginx:\n%.4000s", output)
		}
	})
	return via
}

// TestBehindNginx plays over every protocol through the documented nginx, over a break of the publisher
// and of the viewers' connections.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	r := startRelay(t, "--http.trusted_proxies", "127.0.0.1")
	via := startNginxProxy(t, r)
	const stream = "live/cam"
	w := streamCheck{t: t, relay: r, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1, GOP: 30})}}
	w.pushes[0].waitSent(20)
	for _, proto := range protocols {
		v := proto.watch(t, via, stream)
		v.latency += 200 * time.Millisecond
		w.viewers = append(w.viewers, v)
	}
	w.pushes[0].waitSent(150)
	w.pushes[0].disconnect()
	r.waitBreak(0)
	sleep(t, time.Second)
	next := publish(t, r, stream, gen.Options{Source: 2, GOP: 30})
	w.pushes = append(w.pushes, next)
	r.waitResume(0)
	for _, v := range w.viewers {
		v.waitFrame(gen.ID{Source: 2})
	}
	w.checkClock(w.pushes[0], next)
	next.waitSent(150)
	for _, v := range w.viewers {
		if v.resumesExactly {
			v.cut()
		}
	}
	next.waitSent(300)
	next.pause()
	w.waitSettled(next)
	w.checkComplete(nil)
	for _, v := range w.viewers {
		if how := v.resumeModes.all(); v.resumesExactly && v.name != "HLS" && (len(how) != 1 || how[0] != "exact") {
			t.Errorf("%s viewer resumed %v", v.name, how)
		}
	}
}
