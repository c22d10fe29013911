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

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// cacheConf configures a cache that stores responses as their headers allow, and sends only one of several
// equal requests.
const cacheConf = `daemon off; master_process off; user root; pid %[1]s/pid; error_log %[1]s/error.log info;
events { worker_connections 512; }
http {
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	proxy_cache_path %[1]s/cache keys_zone=hls:1m;
	log_format how '$upstream_cache_status $uri';
	access_log %[1]s/access.log how;
	server {
		listen %[2]s;
		location / {
			proxy_pass http://%[3]s;
			proxy_http_version 1.1;
			proxy_set_header Connection '';
			proxy_cache hls;
			proxy_cache_lock on;
			proxy_cache_lock_age 20s;
			proxy_cache_lock_timeout 20s;
		}
	}
}
`

// TestHLSBehindACache checks that viewers behind a cache miss nothing, also over a break, and that the
// relay receives one request for each piece of media, however many viewers there are.
func TestHLSBehindACache(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			skipOrFail(t, "nginx is not installed")
		}
	}
	r := startRelay(t)
	const stream, crowd = "live/cam", 4
	dir, addr := t.TempDir(), freeAddr(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, cacheConf, dir, addr, r.addrs["http"]), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, program, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	waitUntil(t, "nginx serves", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	via := &relay{t: t, addrs: map[string]string{"http": addr}}
	w := streamCheck{t: t, relay: r, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1, GOP: 30})}}
	w.pushes[0].waitSent(200)
	for range crowd {
		w.viewers = append(w.viewers, watchHLS(t, via, stream))
	}
	w.pushes[0].waitSent(500)
	w.pushes[0].disconnect()
	r.waitBreak(0)
	next := publish(t, r, stream, gen.Options{Source: 2, GOP: 30})
	w.pushes = append(w.pushes, next)
	r.waitResume(0)
	next.waitSent(400)
	next.pause()
	w.waitSettled(next)
	w.checkComplete(nil)
	log, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	asked, hits := map[string]int{}, 0
	for line := range strings.Lines(string(log)) {
		how, uri, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case !strings.HasSuffix(uri, ".m4s") && !strings.HasSuffix(uri, ".mp4"):
		case how == "HIT":
			hits++
		default:
			asked[uri]++
		}
	}
	for uri, n := range asked {
		if n > 1 {
			t.Errorf("got %d requests at the relay for %s, want 1", n, uri)
		}
	}
	t.Logf("got %d pieces of media requested at the relay and %d cache hits", len(asked), hits)
	if hits < (crowd-2)*len(asked) {
		t.Error("got too few cache hits")
	}
}
