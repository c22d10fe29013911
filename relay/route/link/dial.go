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

// readBuffer is the size of the read buffer for a peer that sends no media, in bytes.
const readBuffer = 4 << 10

const (
	// maxTried is how many addresses of a host are tried in one dial. The next dial starts at a
	// different address.
	maxTried = 8
	// shortTimeout is the timeout of TCP while another address is left to try. It is enough for a long
	// line that loses a segment, and short for an address that is dead.
	shortTimeout = 2 * time.Second
)

// dialing is a connection that is being established.
type dialing struct {
	ctx    context.Context //nolint:containedctx // of this dial
	opts   Options
	op     string
	target Target // as given by the URL
	timing Timing
	tried  int
	// redirected is set after a redirect. local is set if the target itself is on this machine or its
	// link.
	redirected, local bool

	socket *socket // nil until PhaseTCP has ended
	conn   net.Conn
	in     *bufio.Reader
	conversation
}

func newDialing(ctx context.Context, o Options, op string) (*dialing, error) {
	target, err := ParseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	return &dialing{ctx: ctx, opts: o.withDefaults(), op: op, target: target, timing: Timing{}}, nil
}

// reach connects to t at one of the addresses of its host, and then calls begin for what follows TCP
// and TLS. It tries up to maxTried addresses, until one succeeds or fails in a way that the others
// would repeat.
func (d *dialing) reach(t Target, begin func() error) error {
	addresses, err := d.addresses(t)
	n := len(addresses)
	last := min(n, maxTried) - 1
	for i := range last + 1 {
		d.tried = i + 1
		address, timeout := addresses[((d.opts.First+i)%n+n)%n], d.opts.Timeouts.TCP
		if i < last {
			timeout = min(timeout, shortTimeout)
		}
		if err = d.try(t, address, timeout, begin); err == nil {
			return nil
		}
		d.disconnect()
		if hasCode(err) || d.ctx.Err() != nil {
			break
		}
	}
	return err
}

// addresses returns the addresses to pass to the dialer, as host:port.
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

// try connects to one address. timeout is that of the TCP phase.
func (d *dialing) try(t Target, address string, timeout time.Duration, begin func() error) error {
	err := d.run(qos.PhaseTCP, timeout, func(ctx context.Context) error {
		if err := d.mayDial(address); err != nil {
			return err
		}
		conn, err := d.opts.Dialer(ctx, "tcp", address)
		if err != nil {
			return err
		}
		if remote := conn.RemoteAddr(); remote != nil { // the dialer may have resolved a name
			if err := d.mayDial(remote.String()); err != nil {
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
	return begin()
}

// disconnect closes the connection.
func (d *dialing) disconnect() {
	if d.socket != nil {
		_ = d.socket.Close()
	}
	d.conn, d.socket, d.in, d.conversation = nil, nil, nil, conversation{}
}

// run runs one phase. The timeout of the phase, or the end of the dial's context, ends every wait on
// the connection.
func (d *dialing) run(phase qos.Phase, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	inTime := func() bool { return ctx.Err() == nil }
	if conn := d.socket; conn != nil {
		inTime = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	}
	began := time.Now()
	err := f(ctx)
	d.timing[phase] += time.Since(began)
	// This is checked after f: a connection whose deadline is expired, or about to be, is useless.
	late := !inTime()
	var rejection *Rejection
	switch {
	case errors.As(err, &rejection):
	case late && d.ctx.Err() != nil:
		err = d.ctx.Err()
	case late:
		err = fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded)
	}
	if err != nil {
		return d.failure(phase, err)
	}
	return nil
}

// failure returns the error of a failed phase.
func (d *dialing) failure(phase qos.Phase, err error) error {
	return &PhaseError{
		Op: d.op, Phase: phase, Target: d.target.String(), Tried: d.tried, Timing: maps.Clone(d.timing), Err: err,
	}
}

// closed reports whether err says that the peer has closed the connection.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, errReset) || errors.Is(err, errPipe)
}
