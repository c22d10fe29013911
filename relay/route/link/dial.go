package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// readBuffer is what is read at once from the far side, in bytes.
const readBuffer = 4 << 10

// dialing is a push on its way.
type dialing struct {
	ctx    context.Context
	opts   Options
	target Target
	conn   net.Conn // nil before PhaseTLS
	in     *bufio.Reader
	far    *far
	answer []byte // to be sent next
}

// Dial connects and publishes. Its error is a *PhaseError, which holds a *Rejection where
// the far side said no, or wraps ErrURL. The push outlives ctx.
func Dial(ctx context.Context, o Options) (*Push, error) {
	target, err := ParseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	d := &dialing{ctx: ctx, opts: o.withDefaults(), target: target, far: newFar(target)}
	if err := d.all(); err != nil {
		if d.conn != nil {
			_ = d.conn.Close()
		}
		return nil, err
	}
	return start(d), nil
}

func (d *dialing) all() error {
	t := d.opts.Timeouts
	if err := d.run(PhaseDial, t.Dial, d.dial); err != nil {
		return err
	}
	if d.target.tls {
		if err := d.run(PhaseTLS, t.TLS, d.secure); err != nil {
			return err
		}
	}
	d.in = bufio.NewReaderSize(d.conn, readBuffer)
	if err := d.run(PhaseHandshake, t.Handshake, func(context.Context) error { return shake(d.in, d.conn) }); err != nil {
		return err
	}
	d.answer = d.far.talk.open()
	if err := d.run(PhaseConnect, t.Connect, func(context.Context) error { return d.until(PhasePublish) }); err != nil {
		return err
	}
	return d.run(PhasePublish, t.Publish, func(context.Context) error { return d.until(PhaseRunning) })
}

// run does one phase within its time. The end of the time, or of the dial's context, ends
// whatever waits on the connection.
func (d *dialing) run(phase Phase, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(d.ctx, limit)
	defer cancel()
	inTime := func() bool { return ctx.Err() == nil }
	if conn := d.conn; conn != nil {
		inTime = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	}
	err := f(ctx)
	// The order matters: a connection whose deadline is set, or about to be, is of no use.
	late := !inTime()
	var rejection *Rejection
	switch {
	case errors.As(err, &rejection):
	case late && d.ctx.Err() != nil:
		err = d.ctx.Err()
	case late:
		err = fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded)
	case err != nil && phase != PhaseDial && phase != PhaseTLS && phase != PhaseHandshake && closed(err):
		err = &Rejection{Early: true, Err: err}
	}
	if err != nil {
		return &PhaseError{Phase: phase, Target: d.target.String(), Err: err}
	}
	return nil
}

// closed tells whether err says that the far side ended the connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (d *dialing) dial(ctx context.Context) error {
	conn, err := d.opts.Dialer(ctx, "tcp", d.target.address)
	if err != nil {
		return err
	}
	d.conn = conn
	if tcp, ok := conn.(*net.TCPConn); ok {
		return setUserTimeout(tcp, 2*d.opts.Timeouts.Write)
	}
	return nil
}

func (d *dialing) secure(ctx context.Context) error {
	secured := tls.Client(d.conn, d.opts.tls(d.target.host))
	if err := secured.HandshakeContext(ctx); err != nil {
		return err
	}
	d.conn = secured
	return nil
}

// until talks until the talk has come to a phase. What is to be said in that phase is left
// in d.answer.
func (d *dialing) until(phase Phase) error {
	// What came in one piece with the answer before may have been the answer to this.
	for buf := make([]byte, readBuffer); d.far.talk.phase != phase && d.far.talk.phase != PhaseRunning; {
		if len(d.answer) > 0 {
			if _, err := d.conn.Write(d.answer); err != nil {
				return err
			}
		}
		n, err := d.in.Read(buf)
		answer, bad := d.far.feed(buf[:n])
		d.answer = answer
		if err := errors.Join(bad, err); err != nil {
			return err
		}
	}
	return nil
}
