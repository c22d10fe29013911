package rendition

import (
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// process is a child process with a process group of its own.
type process struct {
	stdin  io.WriteCloser
	stdout io.ReadCloser
	words  *lastWords
	cmd    *exec.Cmd
	reap   chan struct{} // closed: the child is to be waited for
	reaped chan struct{} // closed: nothing of it is left

	once  sync.Once
	exits sync.WaitGroup // of the goroutine that awaits its exit

	mu     sync.Mutex // guards what follows
	ended  bool       // its id may be another's from now on
	killed bool       // kill was called before it had exited by itself
	exited bool       // it had exited by itself
}

// start runs a program, in so many bytes of address space; 0: any number. end must be called.
func start(program string, args []string, memory int64) (*process, error) {
	//nolint:gosec,noctx // the operator names the program; end kills it with its group
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.SysProcAttr, cmd.WaitDelay = environment(), attributes(), time.Second
	p := &process{cmd: cmd, words: &lastWords{}, reap: make(chan struct{}), reaped: make(chan struct{})}
	cmd.Stderr = p.words
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
		limitMemory(cmd.Process.Pid, memory) // before it is given anything to read
	}
	return p, nil
}

// giveWay has the child give way to others: relaying goes before transcoding.
func (p *process) giveWay() { lower(p.cmd.Process.Pid) }

// live keeps the thread that started the child for as long as that lives: Linux takes the end
// of the thread for the end of the parent.
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
	_ = p.cmd.Wait() // killed as a rule: why it ended is known better
}

// kill ends the child and all that it has started. It does not wait.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.killed = p.killed || !p.exited
		killGroup(p.cmd.Process)
	}
}

// awaitExit gives a child that has closed its output so long to exit by itself. It is called
// before end; the first call counts, and others wait for it.
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

// exit returns how a child that has exited by itself did so, after end: "exit status 1" or
// "signal: killed". It is empty where the relay ended the child, or that is not known. p may be nil.
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

// end kills the child and waits until nothing of it is left.
func (p *process) end() {
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

// said is the last that a child had to say. p may be nil.
func (p *process) said() []string {
	if p == nil {
		return nil
	}
	return p.words.lines()
}
