// Package link is one connection to another server: a push of one stream to it.
//
// The protocol's commands are a state machine of this package (talk), what comes from the
// far side is bounded before it is looked at (far), and only the handshake is go-rtmp's.
package link

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Push is a stream being published at a far side. Its methods may be called from any
// goroutine; packets go out in the order in which Write was.
type Push struct {
	opts   Options
	target Target
	conn   net.Conn
	stream uint32
	began  time.Time
	bye    []byte // the commands of a clean end

	writer chan struct{} // of one: who has put into it may write to conn and use buf
	buf    []byte
	left   bool // bye has been written

	sent, acked atomic.Uint64

	mu      sync.Mutex // guards what follows
	owed    []byte     // answers that wait for the writer
	closing bool       // this side ends the push
	broken  error      // what a write ended with
	err     error      // why the push ended, once done is closed
	done    chan struct{}
}

// maxOwed bounds the answers that wait; of a flood of pings the rest goes unanswered.
const maxOwed = 1 << 10

// keepBuffer is the largest message whose buffer is kept for the next, in bytes.
const keepBuffer = 1 << 20

// start makes a push of a dial that has come to its end, and reads on.
func start(d *dialing) *Push {
	p := &Push{
		opts: d.opts, target: d.target, conn: d.conn, stream: d.far.talk.stream, began: time.Now(),
		bye: d.far.talk.unpublish(), writer: make(chan struct{}, 1), done: make(chan struct{}), owed: d.answer,
	}
	p.opts.Log.Debug("push begins", "target", p.target.String())
	go p.read(d)
	return p
}

// Done is closed when the push has ended, for whatever reason, and its socket is closed.
func (p *Push) Done() <-chan struct{} { return p.done }

// Err is why the push ended, nil while it runs: a *PhaseError, with a *Rejection where
// the far side said so or closed right after publish; ErrClosed if this side ended it.
func (p *Push) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Sent is the number of bytes of media handed to the socket so far, headers included.
func (p *Push) Sent() uint64 { return p.sent.Load() }

// Acked is how many of the bytes sent on the connection the far side says have arrived,
// at most Sent. It is right to within a few kilobytes: some far sides count the handshake.
func (p *Push) Acked() uint64 { return min(p.acked.Load(), p.sent.Load()) }

// Write sends one packet, with its DTS for timestamp: a configuration, metadata or media.
// It waits while the socket is full, for Timeouts.Write at most. An error of a packet that
// RTMP cannot carry leaves the push as it is; every other is the push's end, and Err.
func (p *Push) Write(pkt *packetbuf.Packet) error {
	if err := p.take(); err != nil {
		return err
	}
	b := append(p.buf[:0], p.settle()...)
	before := len(b)
	b, err := appendPacket(b, p.stream, pkt)
	p.sent.Add(uint64(len(b) - before)) //nolint:gosec // not negative
	broken := p.put(b)
	if cap(b) <= keepBuffer {
		p.buf = b
	}
	<-p.writer
	if broken == nil {
		broken = p.answer()
	}
	if broken != nil {
		return p.broke(broken)
	}
	return err
}

// Unpublish ends the push in the protocol's words, gives the far side Timeouts.Leave to
// take what was written, and closes.
func (p *Push) Unpublish() error {
	if err := p.take(); err != nil {
		return ignoreClosed(err)
	}
	var err error
	if !p.left {
		p.left = true
		err = p.put(p.bye)
	}
	<-p.writer
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	if half, ok := p.conn.(interface{ CloseWrite() error }); ok && err == nil {
		if half.CloseWrite() == nil {
			_ = p.conn.SetReadDeadline(time.Now().Add(p.opts.Timeouts.Leave))
			<-p.done
		}
	}
	return errors.Join(err, p.Close())
}

// Close ends the push without a word, as a process does that dies, and waits until
// nothing of it is left.
func (p *Push) Close() error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	err := p.conn.Close()
	<-p.done
	return ignoreClosed(err)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// take waits for the right to write. Its error is the push's end.
func (p *Push) take() error {
	select {
	case p.writer <- struct{}{}:
	case <-p.done:
		return p.Err()
	}
	select {
	case <-p.done:
		<-p.writer
		return p.Err()
	default:
		return nil
	}
}

// put writes b. The caller has the right to.
func (p *Push) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.opts.Timeouts.Write)); err != nil {
		return err
	}
	_, err := p.conn.Write(b)
	return err
}

// owe notes an answer for whoever writes next.
func (p *Push) owe(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.owed)+len(b) <= maxOwed {
		p.owed = append(p.owed, b...)
	}
}

// settle returns the answers that wait.
func (p *Push) settle() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.owed
	p.owed = nil
	return b
}

// answer writes the answers that wait, unless another is writing: then it leaves them to
// that one, which looks again after it has let go.
func (p *Push) answer() error {
	for {
		p.mu.Lock()
		owes := len(p.owed) > 0
		p.mu.Unlock()
		if !owes {
			return nil
		}
		select {
		case p.writer <- struct{}{}:
		default:
			return nil
		}
		err := p.put(p.settle())
		<-p.writer
		if err != nil {
			return err
		}
	}
}

// finding is how long the reader is given to find the far side's last words after a write
// has failed.
const finding = 500 * time.Millisecond

// broke ends the push after a failed write and returns why it ended: the far side's words
// before the socket's.
func (p *Push) broke(err error) error {
	p.mu.Lock()
	p.broken = err
	p.mu.Unlock()
	wait := finding
	if !closed(err) {
		wait = 0 // a socket that stands still has no last words
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
	<-p.done
	return p.Err()
}

// read takes what the far side says until the connection ends. It owns d.far.
func (p *Push) read(d *dialing) {
	err := p.follow(d)
	p.mu.Lock()
	p.err = p.reason(err)
	p.mu.Unlock()
	_ = p.conn.Close()
	p.opts.Log.Debug("push ends", "target", p.target.String(), "reason", p.err)
	close(p.done)
}

func (p *Push) follow(d *dialing) error {
	for buf := make([]byte, readBuffer); ; {
		n, err := d.in.Read(buf)
		answer, bad := d.far.feed(buf[:n])
		p.acked.Store(d.far.acked)
		if bad != nil {
			return bad
		}
		p.owe(answer)
		if err == nil {
			err = p.answer()
		}
		if err != nil {
			return err
		}
	}
}

// reason makes the push's error of what ended reading. p.mu is held.
func (p *Push) reason(err error) error {
	var rejection *Rejection
	switch {
	case p.closing:
		return ErrClosed
	case errors.As(err, &rejection):
	case p.early(err):
		err = &Rejection{Early: true, Err: err}
	case p.broken != nil && errors.Is(err, os.ErrDeadlineExceeded):
		err = p.broken
	}
	return &PhaseError{Phase: PhaseRunning, Target: p.target.String(), Err: err}
}

// early tells whether the far side's leaving is to be read as its no: soon after publish,
// and before it had acknowledged any media.
func (p *Push) early(err error) bool {
	return (closed(err) || closed(p.broken)) && p.acked.Load() == 0 && time.Since(p.began) < p.opts.Timeouts.Early
}
