//go:build unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// relay is a running one.
type relay struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *list[logLine]
	addrs map[string]string // by component
	read  sync.WaitGroup
	once  sync.Once
	err   error // of the process
}

// line is one of its log.
type logLine struct {
	at     time.Time
	text   string
	fields map[string]any // nil if the line is no JSON
}

func (l logLine) is(message string) bool { return l.fields["msg"] == message }

func (l logLine) str(key string) string {
	s, _ := l.fields[key].(string)
	return s
}

// start runs a relay with flags on free ports. It ends with the test, and must then end as
// it ought to.
func start(t testing.TB, flags ...string) *relay {
	t.Helper()
	started.Store(t.Name(), true)
	args := append([]string{
		"serve", "--log.format", "json", "--rtmp.listen", "127.0.0.1:0",
		"--http.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0", "--webrtc.udp_listen", "127.0.0.1:0",
	}, flags...)
	r := &relay{t: t, cmd: exec.Command(built, args...), lines: newList[logLine](), addrs: map[string]string{}}
	out, in := io.Pipe()
	r.cmd.Stdout, r.cmd.Stderr = in, in
	r.cmd.WaitDelay = time.Second
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.read.Go(func() { r.readLog(out) })
	r.read.Go(func() {
		r.err = r.cmd.Wait()
		_ = in.Close()
	})
	t.Cleanup(r.stop)
	if _, _, err := r.lines.next(within(t), 0, func(l logLine) bool { return l.is("holdfast started") }); err != nil {
		t.Fatalf("the relay did not start: %v\n%s", err, r.output())
	}
	for _, l := range r.lines.all() {
		if l.is("listening") {
			r.addrs[l.str("component")] = l.str("addr")
		}
	}
	return r
}

// started has the tests that have started a relay, by name.
var started sync.Map

func (r *relay) readLog(out io.Reader) {
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l := logLine{at: time.Now(), text: s.Text()}
		_ = json.Unmarshal(s.Bytes(), &l.fields) // a panic and a race report are no JSON
		r.lines.add(l)
	}
	r.lines.close(s.Err())
	_, _ = io.Copy(io.Discard, out)
}

func (r *relay) output() string {
	var b strings.Builder
	for _, l := range r.lines.all() {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// stop ends the relay by SIGTERM and asserts a clean end.
func (r *relay) stop() {
	r.once.Do(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.lines.over(ctx); err != nil {
			_ = r.cmd.Process.Kill()
			r.t.Errorf("the relay did not end: %v", err)
		}
		r.read.Wait()
		if r.err != nil {
			r.t.Errorf("the relay ended with %v", r.err)
		}
		out := r.output()
		for _, bad := range []string{"panic", "internal error", "DATA RACE", "fatal error", "goroutine "} {
			if strings.Contains(out, bad) {
				r.t.Errorf("%q in the relay's output", bad)
			}
		}
		for _, l := range r.lines.all() {
			if strings.Count(l.text, `"component":`) > 1 {
				r.t.Errorf("a line of the log names its component twice: %s", l.text)
				break
			}
		}
		if r.t.Failed() {
			r.t.Logf("the relay's output:\n%s", out)
		}
	})
}

// expect waits for a line of the log from index from on.
func (r *relay) expect(from int, what string, right func(logLine) bool) (int, logLine) {
	r.t.Helper()
	i, l, err := r.lines.next(within(r.t), from, right)
	if err != nil {
		r.t.Fatalf("no line of the log says: %s: %v", what, err)
	}
	return i, l
}

// broke waits for the end number n, from 0, of any push: it broke, ended or was closed.
func (r *relay) broke(n int) logLine {
	r.t.Helper()
	return r.nth("push broke", n, "push ended", "push closed")
}

// resumed waits for the stream to go on for the time n, from 0.
func (r *relay) resumed(n int) logLine {
	r.t.Helper()
	return r.nth("stream resumed", n)
}

func (r *relay) nth(message string, n int, others ...string) logLine {
	r.t.Helper()
	_, l := r.expect(0, fmt.Sprintf("%s, time %d", message, n+1), func(l logLine) bool {
		if l.is(message) || slices.ContainsFunc(others, l.is) {
			n--
		}
		return n < 0
	})
	return l
}

// url is an address of the relay with a path.
func (r *relay) url(component, path string) string {
	schemes := map[string]string{"rtmp": "rtmp", "rtmps": "rtmps", "http": "http", "admin": "http"}
	return schemes[component] + "://" + r.addrs[component] + path
}

// need skips a test that a missing program makes impossible; in CI it fails.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lacks(t, p+" is not installed")
		}
	}
}

// lacks skips a test for a reason; in CI it fails.
func lacks(t testing.TB, reason string) {
	t.Helper()
	if inCI {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// program is another program that runs, and what it says.
type program struct {
	t    testing.TB
	cmd  *exec.Cmd
	said *list[string]
	read sync.WaitGroup
	err  error
}

// launch runs a program. It is killed with the test.
func launch(t testing.TB, name string, args ...string) *program {
	t.Helper()
	return launchCommand(t, exec.Command(name, args...))
}

// launchCommand runs a command, whose output is not set. It is killed with the test.
func launchCommand(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, said: newList[string]()}
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.read.Go(func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		s.Split(splitAtReturns)
		for s.Scan() {
			p.said.add(s.Text())
		}
		p.said.close(s.Err())
		_, _ = io.Copy(io.Discard, out)
	})
	p.read.Go(func() {
		p.err = p.cmd.Wait()
		_ = in.Close()
	})
	t.Cleanup(p.kill)
	return p
}

// splitAtReturns takes progress that overwrites itself for lines of their own.
func splitAtReturns(data []byte, end bool) (int, []byte, error) {
	if i := slices.IndexFunc(data, func(b byte) bool { return b == '\n' || b == '\r' }); i >= 0 {
		return i + 1, data[:i], nil
	}
	if end && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	p.read.Wait()
}

func (p *program) output() string { return strings.Join(p.said.all(), "\n") }

// wait waits for the end of the program, for so long.
func (p *program) wait(limit time.Duration) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	if err := p.said.over(ctx); err != nil {
		p.t.Errorf("%s did not end in %v; it said:\n%s", p.cmd.Args[0], limit, p.output())
		p.kill()
		return err
	}
	p.read.Wait()
	return p.err
}

// capture runs a program to its end and returns what it said.
func capture(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, errors.Join(err, ctx.Err()), out)
	}
	return string(out)
}
