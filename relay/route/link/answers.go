package link

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/qos"
)

// maxAnswers bounds the queued answers, in bytes. Under a flood of pings, further ones are not
// answered.
const maxAnswers = 1 << 10

// lastMessages is how long the reader waits for the peer's last messages after a write has failed.
const lastMessages = 500 * time.Millisecond

// read handles what the peer sends until the connection ends. It owns p.dial.
func (p *Push) read() {
	var heartbeats sync.WaitGroup
	over := make(chan struct{})
	heartbeats.Go(func() { p.sendHeartbeats(over) })
	err := panics.Run(p.readAnswers)
	panics.Report(p.opts.Log, "answers of a push's destination", err)
	p.mu.Lock()
	p.err = p.reason(err)
	p.mu.Unlock()
	_ = p.socket.Close()
	close(over)
	heartbeats.Wait()
	p.opts.Log.Debug("push ends", "target", p.dial.target.String(), "reason", p.err)
	close(p.done)
}

func (p *Push) readAnswers() error {
	for {
		answer, err := p.dial.peer.receive(p.dial.in)
		p.acked.Store(p.dial.peer.acked)
		p.received.Store(p.dial.peer.received)
		p.delivery.acknowledged(p.dial.peer)
		if err != nil {
			return err
		}
		p.queueAnswer(answer)
		if err = p.flushAnswers(); err != nil && !closed(err) { // a peer that has closed may have said why
			return err
		}
	}
}

// queueAnswer queues an answer, to be written by the next goroutine that holds the writer.
func (p *Push) queueAnswer(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.answers)+len(b) <= maxAnswers {
		p.answers = append(p.answers, b...)
	}
}

// takeAnswers removes and returns the queued answers.
func (p *Push) takeAnswers() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.answers
	p.answers = nil
	return b
}

// flushAnswers writes the queued answers, unless another goroutine is writing. That goroutine
// flushes them after it has released the writer.
func (p *Push) flushAnswers() error {
	for {
		p.mu.Lock()
		wait := len(p.answers) > 0
		p.mu.Unlock()
		if !wait {
			return nil
		}
		select {
		case p.writer <- struct{}{}:
		default:
			return nil
		}
		err := p.write(p.takeAnswers())
		<-p.writer
		if err != nil {
			return err
		}
	}
}

// endBroken ends the push after a failed write and returns why it ended. What the peer said takes
// precedence over the socket's error.
func (p *Push) endBroken(err error) error {
	p.fail(err)
	<-p.done
	return p.Err()
}

// fail makes the reader end the push after a failed write. It does not wait.
func (p *Push) fail(err error) {
	p.mu.Lock()
	p.broken = err
	p.mu.Unlock()
	wait := lastMessages
	if !closed(err) {
		wait = 0 // a peer that does not read sends no last messages
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
}

// reason returns the push's error after reading has ended with err. p.mu is held.
func (p *Push) reason(err error) error {
	var rejection *Rejection
	switch {
	case p.closing:
		return ErrClosed
	case errors.As(err, &rejection):
	case p.isEarly(err):
		err = &Rejection{Early: true, Err: err}
	case p.broken != nil && errors.Is(err, os.ErrDeadlineExceeded):
		err = p.broken
	}
	return p.dial.failure(qos.PhaseRunning, err)
}

// isEarly reports whether the end of the connection means a rejection, because it came soon after
// publish and before any media was acknowledged.
func (p *Push) isEarly(err error) bool {
	return (closed(err) || closed(p.broken)) && p.acked.Load() <= p.overhead && time.Since(p.began) < p.opts.Timeouts.Early
}
