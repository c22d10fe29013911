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

// relay is a running relay.
type relay struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *list[logLine]
	addrs map[string]string // by component
	read  sync.WaitGroup
	once  sync.Once
	err   error // of the process
}

// logLine is a line of the relay's log.
type logLine struct {
	at     time.Time
	text   string
	fields map[string]any // nil if the line is not JSON
}

func (l logLine) is(message string) bool { return l.fields["msg"] == message }

func (l logLine) str(key string) string {
	s, _ := l.fields[key].(string)
	return s
}

// startRelay runs a relay with flags on free ports. The relay is stopped at the end of the test and must
// then exit cleanly.
func startRelay(t testing.TB, flags ...string) *relay {
	t.Helper()
	started.Store(t.Name(), true)
	args := append([]string{
		"serve", "--log.format", "json", "--rtmp.listen", "127.0.0.1:0",
		"--http.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0", "--webrtc.udp_listen", "127.0.0.1:0",
	}, flags...)
	r := &relay{t: t, cmd: exec.Command(relayBinary, args...), lines: newList[logLine](), addrs: map[string]string{}}
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
	if _, _, err := r.lines.waitFor(waitContext(t), 0, func(l logLine) bool { return l.is("holdfast started") }); err != nil {
		t.Fatalf("start relay: %v\n%s", err, r.output())
	}
	for _, l := range r.lines.all() {
		if l.is("listening") {
			r.addrs[l.str("component")] = l.str("addr")
		}
	}
	return r
}

// started holds the names of the tests that have started a relay.
var started sync.Map

func (r *relay) readLog(out io.Reader) {
	s := bufio.NewScanner(out)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l := logLine{at: time.Now(), text: s.Text()}
		_ = json.Unmarshal(s.Bytes(), &l.fields) // panics and race reports are not JSON
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

// stop stops the relay with SIGTERM and checks that it exits cleanly.
func (r *relay) stop() {
	r.once.Do(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.lines.waitClosed(ctx); err != nil {
			_ = r.cmd.Process.Kill()
			r.t.Errorf("the relay did not exit: %v", err)
		}
		r.read.Wait()
		if r.err != nil {
			r.t.Errorf("the relay exited with %v", r.err)
		}
		out := r.output()
		for _, bad := range []string{"panic", "internal error", "DATA RACE", "fatal error", "goroutine "} {
			if strings.Contains(out, bad) {
				r.t.Errorf("got %q in the relay's output", bad)
			}
		}
		for _, l := range r.lines.all() {
			if strings.Count(l.text, `"component":`) > 1 {
				r.t.Errorf("got a log line with two components: %s", l.text)
				break
			}
		}
		if r.t.Failed() {
			r.t.Logf("output of the relay:\n%s", out)
		}
	})
}

// waitLog waits for a line of the log, starting at index from.
func (r *relay) waitLog(from int, what string, right func(logLine) bool) (int, logLine) {
	r.t.Helper()
	i, l, err := r.lines.waitFor(waitContext(r.t), from, right)
	if err != nil {
		r.t.Fatalf("no log line for %s: %v", what, err)
	}
	return i, l
}

// waitBreak waits for the n-th end of a push, from 0: it broke, ended or was closed.
func (r *relay) waitBreak(n int) logLine {
	r.t.Helper()
	return r.waitNthLog("push broke", n, "push ended", "push closed")
}

// waitResume waits for the n-th resume of the stream, from 0.
func (r *relay) waitResume(n int) logLine {
	r.t.Helper()
	return r.waitNthLog("stream resumed", n)
}

func (r *relay) waitNthLog(message string, n int, others ...string) logLine {
	r.t.Helper()
	_, l := r.waitLog(0, fmt.Sprintf("%s, time %d", message, n+1), func(l logLine) bool {
		if l.is(message) || slices.ContainsFunc(others, l.is) {
			n--
		}
		return n < 0
	})
	return l
}

// url returns a URL of the relay with a path.
func (r *relay) url(component, path string) string {
	schemes := map[string]string{"rtmp": "rtmp", "rtmps": "rtmps", "http": "http", "admin": "http"}
	return schemes[component] + "://" + r.addrs[component] + path
}

// requirePrograms skips the test if a program is missing. In CI the test fails instead.
func requirePrograms(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skipOrFail(t, p+" is not installed")
		}
	}
}

// skipOrFail skips the test for a reason. In CI the test fails instead.
func skipOrFail(t testing.TB, reason string) {
	t.Helper()
	if inCI {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// program is another running program and its output.
type program struct {
	t     testing.TB
	cmd   *exec.Cmd
	lines *list[string]
	read  sync.WaitGroup
	err   error
}

// launch runs a program, which is killed at the end of the test.
func launch(t testing.TB, name string, args ...string) *program {
	t.Helper()
	return launchCommand(t, exec.Command(name, args...))
}

// launchCommand runs a command, which is killed at the end of the test. Its output must not be set.
func launchCommand(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, lines: newList[string]()}
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.read.Go(func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		s.Split(splitLines)
		for s.Scan() {
			p.lines.add(s.Text())
		}
		p.lines.close(s.Err())
		_, _ = io.Copy(io.Discard, out)
	})
	p.read.Go(func() {
		p.err = p.cmd.Wait()
		_ = in.Close()
	})
	t.Cleanup(p.kill)
	return p
}

// splitLines is a bufio.SplitFunc that also splits at carriage returns, with which programs overwrite
// their progress.
func splitLines(data []byte, end bool) (int, []byte, error) {
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

func (p *program) output() string { return strings.Join(p.lines.all(), "\n") }

// wait waits at most limit for the program to exit.
func (p *program) wait(limit time.Duration) error {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	if err := p.lines.waitClosed(ctx); err != nil {
		p.t.Errorf("%s did not exit in %v; output:\n%s", p.cmd.Args[0], limit, p.output())
		p.kill()
		return err
	}
	p.read.Wait()
	return p.err
}

// runProgram runs a program until it exits and returns its output.
func runProgram(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, errors.Join(err, ctx.Err()), out)
	}
	return string(out)
}
