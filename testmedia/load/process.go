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

// process is a running program.
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
			default: // no more lines are read
			}
		}
	}()
	return p, nil
}

// expect waits for a line that matches pattern and returns the first group.
func (p *process) expect(pattern string) (string, error) {
	re := regexp.MustCompile(pattern)
	var seen []string
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("program ended: %s", strings.Join(seen, "\n"))
			}
			if m := re.FindStringSubmatch(line); m != nil {
				return m[1], nil
			}
			seen = append(seen, line)
		case <-timeout:
			return "", fmt.Errorf("no line matches %q in: %s", pattern, strings.Join(seen, "\n"))
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// cpuTick is the unit of CPU time in /proc (USER_HZ, 100 on every Linux).
const cpuTick = 10 * time.Millisecond

// cpuTime returns the user and system CPU time of a process with all its threads.
func (p *process) cpuTime() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name may contain any character. Field 3 follows its parenthesis; see proc(5).
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, err := strconv.ParseInt(fields[14-3], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[15-3], 10, 64)
	return time.Duration(user+system) * cpuTick, err
}

// usage is the number of goroutines of a Go program and the bytes in use on its heap and stacks, after a
// collection.
type usage struct{ goroutines, bytes int }

// readUsage reads the usage of a program from its pprof handler.
func readUsage(ctx context.Context, addr string) (h usage, err error) {
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

// residentMemory returns the resident memory of a process in bytes.
func (p *process) residentMemory() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.Fields(string(b))[1])
	return n * os.Getpagesize(), err
}
