package rendition

import (
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is a child process in its own process group.
type process struct {
	stdin  io.WriteCloser
	stdout io.ReadCloser
	stderr *lastLines
	cmd    *exec.Cmd
	reap   chan struct{} // closed when the child may be reaped
	reaped chan struct{} // closed when the child has been reaped

	once  sync.Once
	exits sync.WaitGroup // the goroutine that awaits the exit

	mu     sync.Mutex // guards the fields below
	ended  bool       // the process ID may be reused
	killed bool       // kill was called before the child exited by itself
	exited bool       // the child exited by itself
}

// start starts a program and limits its address space to memory bytes; 0 means no limit. The caller
// must call stop.
func start(program string, args []string, memory int64) (*process, error) {
	//nolint:gosec,noctx // the operator names the program; stop kills it with its group
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = environment(), attributes(), time.Second
	p := &process{cmd: cmd, stderr: &lastLines{}, reap: make(chan struct{}), reaped: make(chan struct{})}
	cmd.Stderr = p.stderr
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	if p.stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	started := make(chan error)
	go p.live(started)
	if err := <-started; err != nil {
		<-p.reaped
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	if memory > 0 {
		limitMemory(cmd.Process.Pid, memory) // before it reads any input
	}
	return p, nil
}

// giveWay lowers the child's priority, because relaying takes precedence over transcoding.
func (p *process) giveWay() { lower(p.cmd.Process.Pid) }

// live keeps the thread that started the child alive for as long as the child runs, because Linux
// treats the end of that thread as the end of the parent. It reports to started whether the child
// was started.
func (p *process) live(started chan<- error) {
	defer close(p.reaped)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	<-p.reap
	_ = p.cmd.Wait() // the child was usually killed, for a known reason
}

// kill kills the child and its descendants. It does not wait.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.killed = p.killed || !p.exited
		killGroup(p.cmd.Process)
	}
}

// awaitExit lets a child that has closed its output exit by itself within d. It must be called
// before stop. Only the first call has an effect; later ones wait for it.
func (p *process) awaitExit(d time.Duration) { p.once.Do(func() { p.letExit(d) }) }

func (p *process) letExit(d time.Duration) {
	exited := make(chan struct{})
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.exits.Go(func() {
		defer close(exited)
		if !awaitExit(p.cmd.Process.Pid) {
			return
		}
		p.mu.Lock()
		p.exited = !p.killed
		p.mu.Unlock()
	})
	p.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-exited:
	case <-t.C:
	}
}

// exit returns how the child exited by itself, such as "exit status 1" or "signal: killed". It is
// called after stop. It returns "" if the relay ended the child, or if the status is unknown. p may
// be nil.
func (p *process) exit() string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited || p.cmd.ProcessState == nil {
		return ""
	}
	return p.cmd.ProcessState.String()
}

// stop kills the child and waits for it.
func (p *process) stop() {
	p.kill()
	p.mu.Lock()
	ended := p.ended
	p.ended = true
	p.mu.Unlock()
	if !ended {
		close(p.reap)
	}
	<-p.reaped
	p.exits.Wait()
}

// output returns the last lines of the child's standard error. p may be nil.
func (p *process) output() []string {
	if p == nil {
		return nil
	}
	return p.stderr.lines()
}
