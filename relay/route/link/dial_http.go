package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/holdfast-live/holdfast/qos"
)

const (
	// maxHead bounds the length of a response header, in bytes.
	maxHead = 64 << 10
	// maxRedirects bounds the number of redirects that are followed.
	maxRedirects = 3
)

// headReader bounds the bytes of a connection that are read for the header of a response.
type headReader struct {
	r    io.Reader
	left int64
}

var errLongHead = fmt.Errorf("%w: a header of more than %d bytes", ErrProtocol, maxHead)

func (h *headReader) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, errLongHead
	}
	n, err := h.r.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}

// follow requests the target and follows redirects. It calls then with a response that is neither a
// redirect nor a rejection.
func (d *dialing) follow(then func(*http.Response) error) error {
	t := d.target
	for range maxRedirects + 1 {
		var next *Target
		err := d.reach(t, func() error {
			var answer *http.Response
			err := d.run(qos.PhaseConnect, d.opts.Timeouts.Connect, func(ctx context.Context) (err error) {
				answer, err = d.ask(ctx, t, http.MethodGet) //nolint:bodyclose // see ask
				if err != nil {
					return err
				}
				if next, err = d.judge(t, answer); next == nil {
					return err
				}
				return d.mayGo(*next)
			})
			if err != nil || next != nil {
				return err
			}
			return then(answer)
		})
		if err != nil || next == nil {
			return err
		}
		d.disconnect()
		t = *next
	}
	return d.failure(qos.PhaseConnect, fmt.Errorf("%w: more than %d redirects", ErrProtocol, maxRedirects))
}

// mayGo returns an error if a redirect leads to another host, unless the options allow that. An
// origin must not make the relay send requests to machines that only the relay can reach.
func (d *dialing) mayGo(next Target) error {
	d.redirected = true
	if !strings.EqualFold(next.host, d.target.host) && !d.opts.Redirects {
		return fmt.Errorf("%w: redirected to another host, %s; set redirects: any for the group if it may", ErrProtocol, next.Host())
	}
	return nil
}

// mayDial returns an error if a redirect leads to this machine or its own link, unless the original
// target is there too.
func (d *dialing) mayDial(address string) error {
	at, err := netip.ParseAddrPort(address)
	switch {
	case err != nil: // a name, which the dialer resolves
		return nil
	case !d.redirected:
		d.local = d.local || nearby(at.Addr())
	case !d.local && nearby(at.Addr()):
		return fmt.Errorf("%w: redirected to %s, which is this machine or its own link", ErrProtocol, at.Addr())
	}
	return nil
}

// nearby reports whether an address is on this machine or its link.
func nearby(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast()
}

// ask sends a request and reads the header of the response. The body is read from d.in and need not
// be closed.
func (d *dialing) ask(ctx context.Context, t Target, method string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, t.scheme+"://"+t.authority+t.request, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: it makes no request", ErrURL)
	}
	r.Header.Set("User-Agent", "Holdfast")
	r.Header.Set("Connection", "close")
	if err := r.Write(d.conn); err != nil {
		return nil, err
	}
	h := &headReader{r: d.conn, left: maxHead}
	d.in = bufio.NewReaderSize(h, feedBuffer)
	for {
		answer, err := http.ReadResponse(d.in, r)
		switch {
		case err != nil && (closed(err) || timedOut(err) || errors.Is(err, ErrProtocol)):
			return nil, err
		case err != nil: // the error may quote the response
			return nil, fmt.Errorf("%w: %s", ErrProtocol, d.target.clean(t.clean(err.Error())))
		case answer.StatusCode >= 200:
			h.left = math.MaxInt64
			return answer, nil
		}
	}
}

// judge returns the target of a redirect, or the rejection that a response stands for. It returns
// nil and nil for a success.
func (d *dialing) judge(t Target, answer *http.Response) (*Target, error) {
	switch answer.StatusCode {
	case http.StatusOK:
		return nil, nil
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return t.redirected(answer.Header.Get("Location"))
	default:
		return nil, rejected(answer)
	}
}

func rejected(answer *http.Response) *Rejection {
	return &Rejection{Code: fmt.Sprintf("HTTP %d", answer.StatusCode), Description: http.StatusText(answer.StatusCode)}
}

// redirected returns the target of a Location header. A redirect to another scheme is rejected, so
// that an encrypted request stays encrypted.
func (t Target) redirected(location string) (*Target, error) {
	base, err := url.Parse(t.scheme + "://" + t.authority + t.request)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be parsed", ErrURL)
	}
	to, err := base.Parse(location)
	if err != nil || location == "" {
		return nil, fmt.Errorf("%w: redirected to nowhere", ErrProtocol)
	}
	if to.Scheme != t.scheme {
		return nil, fmt.Errorf("%w: redirected to another scheme", ErrProtocol)
	}
	next, err := ParseTarget(to.String())
	if err != nil {
		return nil, fmt.Errorf("%w: redirected to what is no URL of a stream", ErrProtocol)
	}
	return &next, nil
}
