package link

import (
	"context"
	"net/http"

	"github.com/holdfast-live/holdfast/qos"
)

// Probe tests whether a server answers the RTMP connect command, or an HTTP HEAD request with any
// status but a server error. It returns the duration of the phases. The error is a *PhaseError or
// wraps ErrURL.
func Probe(ctx context.Context, o Options) (Timing, error) {
	d, err := newDialing(ctx, o, opProbe)
	if err != nil {
		return nil, err
	}
	defer d.disconnect()
	if d.target.http() {
		err = d.reach(d.target, d.head)
	} else {
		err = d.reach(d.target, func() error { return d.connect(prober, readBuffer) })
	}
	if err != nil {
		return nil, err
	}
	_ = d.conn.Close() // with TLS's close_notify
	return d.timing, nil
}

// head tests whether an HTTP server works. A response that the stream is not live, that the method
// is unknown or not allowed, or that redirects also counts as working.
func (d *dialing) head() error {
	return d.run(qos.PhaseConnect, d.opts.Timeouts.Connect, func(ctx context.Context) error {
		answer, err := d.ask(ctx, d.target, http.MethodHead) //nolint:bodyclose // see ask
		if err == nil && answer.StatusCode >= http.StatusInternalServerError && answer.StatusCode != http.StatusNotImplemented {
			err = rejected(answer)
		}
		return err
	})
}
