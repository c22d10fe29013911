package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that is measured.
type process struct {
	cmd   *exec.Cmd
	lines chan string
}

func start(ctx context.Context, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, lines: make(chan string, 64)}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- s.Text():
			default: // nobody reads any more
			}
		}
	}()
	return p, nil
}

// expect waits for a line and returns what its first group matched.
func (p *process) expect(pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	var seen []string
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("ended: %s", strings.Join(seen, "\n"))
			}
			if m := re.FindStringSubmatch(line); m != nil {
				return m[1], nil
			}
			seen = append(seen, line)
		case <-timeout:
			return "", fmt.Errorf("no line %q in: %s", pattern, strings.Join(seen, "\n"))
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// tick is the unit of CPU time in /proc (USER_HZ, 100 on every Linux).
const tick = 10 * time.Millisecond

// cpu is the CPU time of a process, user and system, its threads included.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name may hold anything; behind its parenthesis comes field 3. See proc(5).
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, err := strconv.ParseInt(fields[14-3], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[15-3], 10, 64)
	return time.Duration(user+system) * tick, err
}

// held is what a Go program has at the moment: goroutines, and bytes in use on its heap and
// its stacks, after a collection.
type held struct{ goroutines, bytes int }

// holding asks a program for it.
func holding(ctx context.Context, addr string) (h held, err error) {
	text := map[string]string{}
	for _, what := range []string{"goroutine?debug=1", "heap?debug=1&gc=1"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/pprof/"+what, nil)
		if err != nil {
			return h, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return h, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return h, err
		}
		text[what[:4]] = string(body)
	}
	_, err = fmt.Sscanf(text["goro"], "goroutine profile: total %d", &h.goroutines)
	for _, key := range []string{"# HeapAlloc = ", "# Stack = "} {
		_, after, _ := strings.Cut(text["heap"], key)
		n := 0
		if _, bad := fmt.Sscan(after, &n); bad != nil {
			err = errors.Join(err, bad)
		}
		h.bytes += n
	}
	return h, err
}

// resident is the resident memory of a process in bytes.
func (p *process) resident() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.Fields(string(b))[1])
	return n * os.Getpagesize(), err
}
