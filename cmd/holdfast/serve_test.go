//go:build !windows

package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServe starts the relay on free ports, sends requests, and drains it by SIGTERM.
func TestServe(t *testing.T) {
	p := start(t, append([]string{"serve"}, anyPorts...)...)
	p.listening("rtmp")
	p.listening("http")
	admin := p.listening("admin")
	p.line(`level=WARN msg="publishing and playing are open to everyone`)
	p.line(`msg="holdfast started"`)
	if body, status := get(t, "http://"+admin+"/readyz"); status != http.StatusOK {
		t.Error(status, body)
	}
	if stdout, stderr, code := run(t, nil, "health", "--admin", admin); code != 0 {
		t.Errorf("health: exit %d: %s%s", code, stdout, stderr)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Error("exit", code)
	}
	p.line("msg=draining")
	p.line("msg=stopped")
}

func TestInterrupt(t *testing.T) {
	p := start(t, anyPorts...)
	p.line(`msg="holdfast started"`)
	if code := p.stop(os.Interrupt); code != 0 {
		t.Error("exit", code)
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	args := append(anyPorts[2:len(anyPorts):len(anyPorts)], "--rtmp.listen", taken)
	_, stderr, code := run(t, nil, args...)
	if code != 1 || !strings.Contains(stderr, "the address "+taken+" is taken by another program; choose another with --rtmp.listen :1936 or HOLDFAST_RTMP_LISTEN=:1936") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
	_, stderr, code = run(t, nil, append([]string{"demo"}, args...)...)
	if code != 1 || !strings.Contains(stderr, "is taken by another program") || !strings.Contains(stderr, portsHint) {
		t.Errorf("demo: exit %d: %s", code, stderr)
	}
}

// TestReload changes the file, which is reloaded by itself and at SIGHUP. An invalid file
// changes nothing.
func TestReload(t *testing.T) {
	path := file(t, "defaults: {hold: 30s}\n")
	p := start(t, append([]string{"--config", path}, anyPorts...)...)
	p.line(`msg="holdfast started"`)

	rewrite(t, path, "defaults: {hold: 40s}\nlimits: {connections: 100}\n")
	p.line(`msg="configuration reloaded" why="file changed" changed=\[defaults.hold\]`)
	p.line(`level=WARN msg="configuration keys changed that need a restart" keys=\[limits.connections\]`)

	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.line(`msg="configuration reloaded" why=SIGHUP changed=\[\]`)

	rewrite(t, path, "defaults: {hold: sometimes}\n")
	p.line(`level=ERROR msg="configuration not reloaded; the previous one stays in force" why="file changed" err="defaults.hold: `)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Error("exit", code)
	}
}

// A secret in a file of its own is reloaded when that file changes, and is never logged.
func TestReloadSecretFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Zt2wyuTBfPFmNQ8gP7ZCHWCZLxUgkHnPXkC9Rzt5U2Wv\n")
	path := file(t, "defaults: {play_secret_file: "+secret+"}\n")
	p := start(t, append([]string{"--config", path}, anyPorts...)...)
	p.line(`msg="configuration read" file=` + path)
	base := "http://" + p.listening("http")
	p.line(`msg="holdfast started"`)
	token := func() string {
		t.Helper()
		stdout, stderr, code := run(t, nil, "token", "live/cam", "-q", "--config", path)
		if code != 0 {
			t.Fatal(stderr)
		}
		return strings.TrimSpace(stdout)
	}
	before := token()
	if _, status := get(t, base+"/live/cam.flv?token="+before); status != http.StatusNotFound {
		t.Errorf("with the first secret: got %d", status)
	}
	write("8b2PKQn7ZfVhzQ3Kp5sX1mDdRc9WtYgUaEo4JiLx6TNS\n")
	p.line(`msg="configuration reloaded" why="file changed" changed=\[defaults.play_secret\]`)
	if _, status := get(t, base+"/live/cam.flv?token="+before); status != http.StatusUnauthorized {
		t.Errorf("with the token of the first secret after the change: got %d", status)
	}
	if _, status := get(t, base+"/live/cam.flv?token="+token()); status != http.StatusNotFound {
		t.Errorf("with a token of the second secret: got %d", status)
	}
	write("\n")
	p.line(`level=ERROR msg="configuration not reloaded; the previous one stays in force" why="file changed" err="defaults.play_secret_file: .* is empty.*" at=` + path + `:1`)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Error("exit", code)
	}
	for _, line := range p.lines {
		if strings.Contains(line, "Zt2wyu") || strings.Contains(line, "8b2PKQ") {
			t.Errorf("a secret is in the log: got %s", line)
		}
	}
}

// rewrite replaces a file as editors do.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func TestBadConfigurationDoesNotServe(t *testing.T) {
	_, stderr, code := run(t, nil, "--config", file(t, "rtmp: {listen: x}\nlog: {level: loud}\n"))
	if code != 1 || !strings.Contains(stderr, "rtmp.listen") || !strings.Contains(stderr, "log.level") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
}
