package link

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// DialFunc opens a connection, like net.Dialer's DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// ResolveFunc returns the addresses of a host, best first.
type ResolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// Timeouts bound each phase of a dial and what follows. The phases from TCP on begin again
// with each address that is tried.
type Timeouts struct {
	DNS       time.Duration // [5s]
	TCP       time.Duration // at most 2s while another address is left to try [5s]
	TLS       time.Duration // [5s]
	Handshake time.Duration // of RTMP [5s]
	Connect   time.Duration // connect to its answer; of HTTP: the request to its answer [5s]
	Publish   time.Duration // createStream to NetStream.Publish.Start, or Play.Start [5s]
	Media     time.Duration // of a pull: until the first media packet [10s]

	Write time.Duration // how long a write may block [10s]
	Early time.Duration // how soon after publish a close without a reason is a rejection [3s]
	Leave time.Duration // how long the peer is given to read a clean end [1s]
}

// Options describe a connection.
type Options struct {
	// URL is rtmp://host/app/name?query or rtmps://; of a pull and a probe also http:// and
	// https://. It may hold secrets.
	URL string
	// Resolve returns the addresses of the host, unless that is an address. Nil stands for
	// net.DefaultResolver, or, if there is a Dialer, for leaving the name to it.
	Resolve ResolveFunc
	// Dialer connects to host:port, the host being an address if it was resolved. Nil stands for
	// that of a net.Dialer.
	Dialer DialFunc
	// First is the index of the address to try first, modulo their number. It is increased with
	// each retry.
	First int
	// Answered, if not nil, is called when the origin of a pull has accepted the request and only
	// media is awaited.
	Answered func()
	// Repairs, if not nil, is called from Read with what was repaired in a pull's media.
	Repairs func([]packetbuf.Repair)
	// Redirects allows an answer over HTTP to redirect a pull to another host. Without it, only
	// redirects to another path or port of the same host are followed.
	Redirects bool
	TLS       *tls.Config // of rtmps and https; nil: the system's roots, the URL's host
	Timeouts  Timeouts    // 0: the default
	Log       *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
		if o.Resolve == nil {
			o.Resolve = resolve
		}
	}
	if o.Repairs == nil {
		o.Repairs = func([]packetbuf.Repair) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.Timeouts.DNS, 5 * time.Second},
		{&o.Timeouts.TCP, 5 * time.Second},
		{&o.Timeouts.TLS, 5 * time.Second},
		{&o.Timeouts.Handshake, 5 * time.Second},
		{&o.Timeouts.Connect, 5 * time.Second},
		{&o.Timeouts.Publish, 5 * time.Second},
		{&o.Timeouts.Media, 10 * time.Second},
		{&o.Timeouts.Write, 10 * time.Second},
		{&o.Timeouts.Early, 3 * time.Second},
		{&o.Timeouts.Leave, time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return o
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (o *Options) tls(host string) *tls.Config {
	if o.TLS == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	}
	c := o.TLS.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	return c
}
