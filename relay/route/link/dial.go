package link

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// readBuffer is what is read at once from the far side, in bytes.
const readBuffer = 4 << 10

const (
	// maxTried is how many of a host's addresses have their turn in one dial. The next dial
	// begins at another.
	maxTried = 8
	// soon is how long TCP may take where another address is left to try: a line with a long
	// way may lose a segment meanwhile, and an address that is dead delays little.
	soon = 2 * time.Second
)

// dialing is a connection on its way.
type dialing struct {
	ctx    context.Context //nolint:containedctx // of this one dial
	opts   Options
	op     string
	target Target // as the URL had it
	timing Timing
	tried  int
	// redirected says that an answer has led elsewhere, local that the target itself is of this machine
	// or its link.
	redirected, local bool

	socket *socket // nil before PhaseTCP has come to its end
	conn   net.Conn
	in     *bufio.Reader
	talked
}

func newDialing(ctx context.Context, o Options, op string) (*dialing, error) {
	target, err := ParseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	return &dialing{ctx: ctx, opts: o.withDefaults(), op: op, target: target, timing: Timing{}}, nil
}

// reach connects to t and has converse lead the connection to where it runs, on one of the
// host's addresses: each of maxTried has its turn, unless one says no in words.
func (d *dialing) reach(t Target, converse func() error) error {
	addresses, err := d.addresses(t)
	n := len(addresses)
	last := min(n, maxTried) - 1
	for i := range last + 1 {
		d.tried = i + 1
		address, patience := addresses[((d.opts.First+i)%n+n)%n], d.opts.Timeouts.TCP
		if i < last {
			patience = min(patience, soon)
		}
		if err = d.try(t, address, patience, converse); err == nil {
			return nil
		}
		d.hangUp()
		if inWords(err) || d.ctx.Err() != nil {
			break
		}
	}
	return err
}

// addresses are what the dialer is to be handed, host:port.
func (d *dialing) addresses(t Target) ([]string, error) {
	if _, err := netip.ParseAddr(t.host); err == nil || d.opts.Resolve == nil {
		return []string{t.Host()}, nil
	}
	var out []string
	err := d.run(qos.PhaseDNS, d.opts.Timeouts.DNS, func(ctx context.Context) error {
		found, err := d.opts.Resolve(ctx, t.host)
		for _, a := range found {
			out = append(out, net.JoinHostPort(a.Unmap().String(), t.port))
		}
		if err == nil && len(out) == 0 {
			err = &net.DNSError{Err: "no addresses", Name: t.host, IsNotFound: true}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// try connects to one address; patience is TCP's.
func (d *dialing) try(t Target, address string, patience time.Duration, converse func() error) error {
	err := d.run(qos.PhaseTCP, patience, func(ctx context.Context) error {
		if err := d.mayDial(address); err != nil {
			return err
		}
		conn, err := d.opts.Dialer(ctx, "tcp", address)
		if err != nil {
			return err
		}
		if far := conn.RemoteAddr(); far != nil { // where the dialer resolved a name
			if err := d.mayDial(far.String()); err != nil {
				_ = conn.Close()
				return err
			}
		}
		d.socket = newSocket(conn, 2*d.opts.Timeouts.Write)
		d.conn = d.socket
		return nil
	})
	if err != nil {
		return err
	}
	if t.tls() {
		err = d.run(qos.PhaseTLS, d.opts.Timeouts.TLS, func(ctx context.Context) error {
			secured := tls.Client(d.socket, d.opts.tls(t.host))
			d.conn = secured
			return secured.HandshakeContext(ctx)
		})
		if err != nil {
			return err
		}
	}
	return converse()
}

// hangUp closes what was dialled.
func (d *dialing) hangUp() {
	if d.socket != nil {
		_ = d.socket.Close()
	}
	d.conn, d.socket, d.in, d.talked = nil, nil, nil, talked{}
}

// run does one phase within its time. The end of the time, or of the dial's context, ends
// whatever waits on the connection.
func (d *dialing) run(phase qos.Phase, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(d.ctx, limit)
	defer cancel()
	inTime := func() bool { return ctx.Err() == nil }
	if conn := d.socket; conn != nil {
		inTime = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	}
	began := time.Now()
	err := f(ctx)
	d.timing[phase] += time.Since(began)
	// The order matters: a connection whose deadline is set, or about to be, is of no use.
	late := !inTime()
	var rejection *Rejection
	switch {
	case errors.As(err, &rejection):
	case late && d.ctx.Err() != nil:
		err = d.ctx.Err()
	case late:
		err = fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded)
	}
	if err != nil {
		return d.failure(phase, err)
	}
	return nil
}

// failure dresses what a phase ended with.
func (d *dialing) failure(phase qos.Phase, err error) error {
	return &PhaseError{
		Op: d.op, Phase: phase, Target: d.target.String(), Tried: d.tried, Timing: maps.Clone(d.timing), Err: err,
	}
}

// closed tells whether err says that the far side ended the connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, errReset) || errors.Is(err, errPipe)
}
