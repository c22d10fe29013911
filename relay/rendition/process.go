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

	mu    sync.Mutex // guards what follows
	ended bool       // its id may be another's from now on
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
		killGroup(p.cmd.Process)
	}
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
}

// said is the last that a child had to say. p may be nil.
func (p *process) said() []string {
	if p == nil {
		return nil
	}
	return p.words.lines()
}
