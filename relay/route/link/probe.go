package link

import (
	"context"
	"net/http"

	"github.com/holdfast-live/holdfast/qos"
)

// Probe goes as far as connect, of HTTP as far as an answer to HEAD that does not blame the
// server, and leaves. Its error is a *PhaseError or wraps ErrURL.
func Probe(ctx context.Context, o Options) (Timing, error) {
	d, err := newDialing(ctx, o, opProbe)
	if err != nil {
		return nil, err
	}
	defer d.hangUp()
	if d.target.http() {
		err = d.reach(d.target, d.head)
	} else {
		err = d.reach(d.target, func() error { return d.converse(prober, readBuffer) })
	}
	if err != nil {
		return nil, err
	}
	_ = d.conn.Close() // with TLS's last words
	return d.timing, nil
}

// head asks whether there is an HTTP server that works. A stream that is not live, a method
// that is not allowed or not known, or a redirect are answers too.
func (d *dialing) head() error {
	return d.run(qos.PhaseConnect, d.opts.Timeouts.Connect, func(ctx context.Context) error {
		answer, err := d.ask(ctx, d.target, http.MethodHead) //nolint:bodyclose // see ask
		if err == nil && answer.StatusCode >= http.StatusInternalServerError && answer.StatusCode != http.StatusNotImplemented {
			err = rejected(answer)
		}
		return err
	})
}
