// Package link is one connection to another server: a push of one stream to it, a pull of
// one from it, or a probe.
//
// The protocol's commands are a state machine of this package (talk), what comes from the
// far side is bounded before it is looked at (far), and only the handshake is go-rtmp's.
package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/qos"
)

// Push is a stream being published at a far side. Its methods may be called from any
// goroutine; packets go out in the order in which Write was.
type Push struct {
	opts   Options
	dial   *dialing // for its errors; the reader's own but for that
	conn   net.Conn
	socket *socket // below conn
	stream uint32
	began  time.Time
	talked uint64 // what has come in acknowledgements up to here is no media
	bye    []byte // the commands of a clean end

	writer chan struct{} // of one: who has put into it may write to conn and use buf
	buf    []byte
	left   bool // bye has been written, or is: nothing goes after it

	sent, acked atomic.Uint64
	heard       atomic.Uint64 // bytes that the far side has sent
	track       *track

	mu      sync.Mutex // guards what follows
	owed    []byte     // answers that wait for the writer
	closing bool       // this side ends the push
	broken  error      // what a write ended with
	err     error      // why the push ended, once done is closed
	done    chan struct{}
}

// maxOwed bounds the answers that wait; of a flood of pings the rest goes unanswered.
const maxOwed = 1 << 10

const (
	// keepBuffer is the largest message whose buffer is kept for the next, in bytes.
	keepBuffer = 256 << 10
	// maxWrite is what is written at once, in bytes.
	maxWrite = 64 << 10
)

// Dial connects and publishes. Its error is a *PhaseError, which holds a *Rejection where
// the far side said no, or wraps ErrURL. The push outlives ctx.
func Dial(ctx context.Context, o Options) (*Push, error) {
	d, err := newDialing(ctx, o, opPush)
	if err != nil {
		return nil, err
	}
	if d.target.http() {
		return nil, fmt.Errorf("%w: a push goes to rtmp:// or rtmps://", ErrURL)
	}
	if err := d.reach(d.target, func() error { return d.converse(publisher, readBuffer) }); err != nil {
		return nil, err
	}
	return start(d), nil
}

// start makes a push of a dial that has come to its end, and reads on.
func start(d *dialing) *Push {
	now := time.Now()
	d.far.acks, d.far.interval = 0, 0 // acknowledgements of commands say nothing of those of media
	p := &Push{
		opts: d.opts, dial: d, conn: d.conn, socket: d.socket, stream: d.far.talk.stream, began: now, talked: d.said + uint64(len(d.answer)) + handshakeSize,
		bye: d.far.talk.leave(), writer: make(chan struct{}, 1), done: make(chan struct{}), owed: d.answer,
		track: newTrack(now, d.said),
	}
	p.Progress(now) // from where on progress counts
	p.opts.Log.Debug("push begins", "target", d.target.String())
	go p.read()
	return p
}

// Timing is how long the phases of the dial took.
func (p *Push) Timing() Timing { return p.dial.timing.clone() }

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

// Write sends packets, each with its DTS for timestamp: configurations, metadata or media.
// Several go out together, 64 KiB at once. It waits while the socket is full, for
// Timeouts.Write at most with each of these pieces. An error of a packet that RTMP cannot
// carry leaves the push as it is, and has the others sent; every other is the push's end, and
// Err.
func (p *Push) Write(packets ...*packetbuf.Packet) error {
	if err := p.take(); err != nil {
		return err
	}
	p.track.begins(time.Now())
	refused, broken := p.send(packets)
	p.track.ends()
	<-p.writer
	if broken == nil {
		broken = p.answer()
	}
	if broken != nil {
		return p.broke(broken)
	}
	return refused
}

// send writes packets after the answers that wait. The caller has the right to write.
func (p *Push) send(packets []*packetbuf.Packet) (refused, broken error) {
	b := append(p.buf[:0], p.settle()...)
	for _, pkt := range packets {
		before := len(b)
		var err error
		if b, err = appendPacket(b, p.stream, pkt); err != nil {
			refused = err
			continue
		}
		p.sent.Add(uint64(len(b) - before)) //nolint:gosec // not negative
		p.track.note(mark{wire: p.ends(len(b)), seq: pkt.Seq, arrived: pkt.Arrived}, len(b))
		if len(b) >= maxWrite {
			if broken = p.put(b); broken != nil {
				return refused, broken
			}
			b = p.keep(b)
		}
	}
	broken = p.put(b)
	p.keep(b)
	return refused, broken
}

// ends is where below TLS the next n bytes end: with TLS that is not known before.
func (p *Push) ends(n int) uint64 {
	if p.conn != net.Conn(p.socket) {
		return pending
	}
	return p.socket.sent.Load() + uint64(n) //nolint:gosec // not negative
}

// keep returns an empty buffer for what comes next.
func (p *Push) keep(b []byte) []byte {
	if cap(b) <= keepBuffer {
		p.buf = b[:0]
	}
	return p.buf[:0]
}

// Unpublish ends the push in the protocol's words, gives the far side Timeouts.Leave to
// take what was written, and closes.
func (p *Push) Unpublish() error {
	if err := p.take(); err != nil {
		<-p.done
		return ignoreClosed(err)
	}
	p.left = true
	err := p.put(p.bye)
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
	err := p.socket.Close() // below TLS, which has a word of its own
	<-p.done
	return ignoreClosed(err)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// take waits for the right to write. Its error is the push's end, or that it is being ended.
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
	}
	if p.left {
		<-p.writer
		return ErrClosed
	}
	return nil
}

// put writes b, in pieces that have their time each. The caller has the right to.
func (p *Push) put(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), maxWrite)
		now := time.Now()
		if err := p.conn.SetWriteDeadline(now.Add(p.opts.Timeouts.Write)); err != nil {
			return err
		}
		p.track.offers(now, n)
		_, err := p.conn.Write(b[:n])
		b = b[n:]
		p.track.offered(p.socket.sent.Load(), err)
		if err != nil {
			return err
		}
	}
	return nil
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
	p.fail(err)
	<-p.done
	return p.Err()
}

// fail has the push end after a failed write. It does not wait.
func (p *Push) fail(err error) {
	p.mu.Lock()
	p.broken = err
	p.mu.Unlock()
	wait := finding
	if !closed(err) {
		wait = 0 // a socket that stands still has no last words
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
}

// read takes what the far side says until the connection ends. It owns p.dial.
func (p *Push) read() {
	var beating sync.WaitGroup
	over := make(chan struct{})
	beating.Go(func() { p.beat(over) })
	err := panics.Run(p.follow)
	panics.Report(p.opts.Log, "answers of a push's destination", err)
	p.mu.Lock()
	p.err = p.reason(err)
	p.mu.Unlock()
	_ = p.socket.Close()
	close(over)
	beating.Wait()
	p.opts.Log.Debug("push ends", "target", p.dial.target.String(), "reason", p.err)
	close(p.done)
}

func (p *Push) follow() error {
	for {
		answer, err := p.dial.far.listen(p.dial.in)
		p.acked.Store(p.dial.far.acked)
		p.heard.Store(p.dial.far.received)
		p.track.acknowledged(p.dial.far)
		if err != nil {
			return err
		}
		p.owe(answer)
		if err = p.answer(); err != nil && !closed(err) { // then there may be last words
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
	return p.dial.failure(qos.PhaseRunning, err)
}

// early tells whether the far side's leaving is to be read as its no: soon after publish,
// and before it had acknowledged any media.
func (p *Push) early(err error) bool {
	return (closed(err) || closed(p.broken)) && p.acked.Load() <= p.talked && time.Since(p.began) < p.opts.Timeouts.Early
}
