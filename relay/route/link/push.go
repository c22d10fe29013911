// Package link implements one connection to another server: a push of one stream to it, a pull of
// one stream from it, or a probe.
//
// The RTMP commands are handled by a state machine (clientState), after the bytes from the other
// server have been bounded and decoded (peer). The handshake and the socket options are those of
// package rtmpconn.
package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Push is a stream that is published to another server. Its methods may be called from any
// goroutine. Packets are sent in the order of the calls to Write.
type Push struct {
	opts     Options
	dial     *dialing // owned by the reader, except for its failure method
	conn     net.Conn
	socket   *socket // beneath conn
	stream   uint32
	began    time.Time
	overhead uint64 // bytes of the handshake and commands, which acknowledgements may include
	goodbye  []byte // the commands of a clean end

	writer  chan struct{} // a mutex, as a channel of capacity 1; it guards writes to conn, buf and leaving
	buf     []byte
	leaving bool // goodbye has been or is being written: nothing may follow

	sent, acked atomic.Uint64
	received    atomic.Uint64 // bytes that the peer has sent
	delivery    *delivery

	mu      sync.Mutex // guards the fields below
	answers []byte     // answers that wait for the writer
	closing bool       // this side is ending the push
	broken  error      // the error of a write
	err     error      // why the push ended, once done is closed
	done    chan struct{}
}

const (
	// keepBuffer is the largest buffer that is kept for the next message, in bytes.
	keepBuffer = 256 << 10
	// maxWrite is how much is written at once, in bytes.
	maxWrite = 64 << 10
)

// Dial connects and publishes. The error is a *PhaseError, which wraps a *Rejection if the server
// has rejected the request, or wraps ErrURL. The push outlives ctx.
func Dial(ctx context.Context, o Options) (*Push, error) {
	d, err := newDialing(ctx, o, opPush)
	if err != nil {
		return nil, err
	}
	if d.target.http() {
		return nil, fmt.Errorf("%w: a push goes to rtmp:// or rtmps://", ErrURL)
	}
	if err := d.reach(d.target, func() error { return d.connect(publisher, readBuffer) }); err != nil {
		return nil, err
	}
	return start(d), nil
}

// start returns the push of a dial that has succeeded, and starts its reader.
func start(d *dialing) *Push {
	now := time.Now()
	d.peer.acks, d.peer.interval = 0, 0 // acknowledgements of the commands say nothing about media
	p := &Push{
		opts: d.opts, dial: d, conn: d.conn, socket: d.socket, stream: d.peer.state.stream, began: now, overhead: d.sent + uint64(len(d.answer)) + handshakeSize,
		goodbye: d.peer.state.unpublish(), writer: make(chan struct{}, 1), done: make(chan struct{}), answers: d.answer,
		delivery: newDelivery(now, d.sent),
	}
	p.Progress(now) // so that progress is measured from here on
	p.opts.Log.Debug("push begins", "target", d.target.String())
	go p.read()
	return p
}

// Timing returns how long the phases of the dial took.
func (p *Push) Timing() Timing { return p.dial.timing.clone() }

// Done returns a channel that is closed when the push has ended, for whatever reason, and its socket
// is closed.
func (p *Push) Done() <-chan struct{} { return p.done }

// Err returns why the push ended, or nil while it runs. The error is ErrClosed if this side ended
// the push, otherwise a *PhaseError, which wraps a *Rejection if the server rejected the push or
// closed the connection right after publish.
func (p *Push) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Sent returns the number of media bytes, including headers, handed to the socket so far.
func (p *Push) Sent() uint64 { return p.sent.Load() }

// Acked returns how many bytes of the connection the peer has acknowledged, at most Sent. It is
// accurate to a few kilobytes, since some peers include the handshake.
func (p *Push) Acked() uint64 { return min(p.acked.Load(), p.sent.Load()) }

// Write sends packets: configurations, metadata or media, each with its DTS as timestamp. They are
// written in pieces of up to 64 KiB, each of which may block for Timeouts.Write. If RTMP cannot
// carry a packet, Write returns an error about it, but sends the other packets and leaves the push
// open. Any other error means that the push has ended, and is the error of Err.
func (p *Push) Write(packets ...*packetbuf.Packet) error {
	if err := p.lockWriter(); err != nil {
		return err
	}
	p.delivery.beginWrite(time.Now())
	unsupported, broken := p.writePackets(packets)
	p.delivery.endWrite()
	<-p.writer
	if broken == nil {
		broken = p.flushAnswers()
	}
	if broken != nil {
		return p.endBroken(broken)
	}
	return unsupported
}

// writePackets writes the queued answers and then the packets. The caller holds the writer.
func (p *Push) writePackets(packets []*packetbuf.Packet) (unsupported, broken error) {
	b := append(p.buf[:0], p.takeAnswers()...)
	for _, pkt := range packets {
		before := len(b)
		var err error
		if b, err = appendPacket(b, p.stream, pkt); err != nil {
			unsupported = err
			continue
		}
		p.sent.Add(uint64(len(b) - before)) //nolint:gosec // not negative
		p.delivery.add(mark{tcpEnd: p.tcpEnd(len(b)), seq: pkt.Seq, arrived: pkt.Arrived}, len(b))
		if len(b) >= maxWrite {
			if broken = p.write(b); broken != nil {
				return unsupported, broken
			}
			b = p.emptyBuffer(b)
		}
	}
	broken = p.write(b)
	p.emptyBuffer(b)
	return unsupported, broken
}

// tcpEnd returns where the next n bytes will end below TLS. It is unknown in advance if TLS is used.
func (p *Push) tcpEnd(n int) uint64 {
	if p.conn != net.Conn(p.socket) {
		return unknownEnd
	}
	return p.socket.sent.Load() + uint64(n) //nolint:gosec // not negative
}

// emptyBuffer returns an empty buffer. It reuses b unless b is too large.
func (p *Push) emptyBuffer(b []byte) []byte {
	if cap(b) <= keepBuffer {
		p.buf = b[:0]
	}
	return p.buf[:0]
}

// write writes b in pieces. The caller holds the writer.
func (p *Push) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), maxWrite)
		now := time.Now()
		if err := p.conn.SetWriteDeadline(now.Add(p.opts.Timeouts.Write)); err != nil {
			return err
		}
		p.delivery.beginPiece(now, n)
		_, err := p.conn.Write(b[:n])
		b = b[n:]
		p.delivery.endPiece(p.socket.sent.Load(), err)
		if err != nil {
			return err
		}
	}
	return nil
}

// lockWriter waits for the writer. The error is that with which the push ended, or ErrClosed while
// this side is ending the push.
func (p *Push) lockWriter() error {
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
	if p.leaving {
		<-p.writer
		return ErrClosed
	}
	return nil
}

// Unpublish ends the push with the RTMP commands for that, waits up to Timeouts.Leave for the peer
// to read what was written, and closes the connection.
func (p *Push) Unpublish() error {
	if err := p.lockWriter(); err != nil {
		<-p.done
		return ignoreClosed(err)
	}
	p.leaving = true
	err := p.write(p.goodbye)
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

// Close closes the connection without any command, as when a process dies, and waits until the
// push's goroutines have ended.
func (p *Push) Close() error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	err := p.socket.Close() // without TLS's close_notify
	<-p.done
	return ignoreClosed(err)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
