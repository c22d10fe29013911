package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// binary is the built command, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "holdfast")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "holdfast")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil { //nolint:gosec // our own
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// patience is the timeout of tests that wait.
const patience = 30 * time.Second

// anyPorts are flags that choose free ports.
var anyPorts = []string{"--rtmp.listen", "127.0.0.1:0", "--http.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0", "--webrtc.udp_listen", "127.0.0.1:0"}

// environment is the test's environment without HOLDFAST_ variables.
func environment(more ...string) []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "HOLDFAST_") {
			out = append(out, kv)
		}
	}
	return append(out, more...)
}

// run runs the command and returns its output and exit code.
func run(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runIn(t, "", env, args...)
}

// runIn is like run, in a working directory.
func runIn(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env, cmd.Dir = environment(env...), dir
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	var exit *exec.ExitError
	if e := cmd.Run(); e != nil && !errors.As(e, &exit) {
		t.Fatal(e)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// process is a running command and the lines that it has printed to both streams.
type process struct {
	t   *testing.T
	cmd *exec.Cmd

	mu      sync.Mutex // guards lines and next
	lines   []string
	next    int           // the first line that no wait has passed
	printed chan struct{} // of one: there is something new
	reading sync.WaitGroup
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), printed: make(chan struct{}, 1)} //nolint:gosec // our own
	p.cmd.Env = environment()
	for _, pipe := range []func() (io.ReadCloser, error){p.cmd.StdoutPipe, p.cmd.StderrPipe} {
		r, err := pipe()
		if err != nil {
			t.Fatal(err)
		}
		p.reading.Go(func() { p.read(r) })
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		p.reading.Wait()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("it printed:\n%s", strings.Join(p.lines, "\n"))
		}
	})
	return p
}

func (p *process) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		p.mu.Unlock()
		select {
		case p.printed <- struct{}{}:
		default:
		}
	}
}

// line waits for the next matching line, and returns its first group or else the line.
func (p *process) line(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		p.mu.Lock()
		for p.next < len(p.lines) {
			m := re.FindStringSubmatch(p.lines[p.next])
			p.next++
			if m != nil {
				p.mu.Unlock()
				return m[len(m)-1]
			}
		}
		p.mu.Unlock()
		select {
		case <-p.printed:
		case <-timeout:
			p.t.Fatalf("no line matches %s", pattern)
		}
	}
}

// listening waits for the actual address of a component.
func (p *process) listening(component string) string {
	p.t.Helper()
	return p.line(`msg=listening component=` + component + ` addr=(\S+)`)
}

// stop sends a signal, waits for the process to exit, and returns the exit code.
func (p *process) stop(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	return p.exit()
}

// exit waits for the process to exit, and returns the exit code.
func (p *process) exit() int {
	p.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.reading.Wait()
		_ = p.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-ended
		p.t.Fatal("it does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// file writes a configuration and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "holdfast.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func get(t *testing.T, url string) (body string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // no idle connection is left behind
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), resp.StatusCode
}
