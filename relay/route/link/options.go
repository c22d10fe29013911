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

// Timeouts bound each phase of a dial, and what comes after. The phases from TCP on have
// their time anew with each address that is tried.
type Timeouts struct {
	DNS       time.Duration // [5s]
	TCP       time.Duration // where another address is left to try at most 2s [5s]
	TLS       time.Duration // [5s]
	Handshake time.Duration // of RTMP [5s]
	Connect   time.Duration // connect to its answer; of HTTP: the request to its answer [5s]
	Publish   time.Duration // createStream to NetStream.Publish.Start, or Play.Start [5s]
	Media     time.Duration // of a pull: until the first media packet [10s]

	Write time.Duration // how long a write may stand still [10s]
	Early time.Duration // until when after publish a close without a word is a rejection [3s]
	Leave time.Duration // how long the far side is given to take a clean end [1s]
}

// Options say where a connection goes, and how.
type Options struct {
	// URL is rtmp://host/app/name?query or rtmps://; of a pull and a probe also http:// and
	// https://. It may hold secrets.
	URL string
	// Resolve is asked for the host's addresses, unless it is an address itself. Nil is
	// net.DefaultResolver, or, where there is a Dialer, to leave the name to that.
	Resolve ResolveFunc
	// Dialer is handed host:port, the host being an address where it was resolved; nil is a
	// net.Dialer's.
	Dialer DialFunc
	// First is the number of the address to try first, modulo how many there are: whoever
	// dials again counts it up.
	First int
	// Answered, if not nil, is called when the far side of a pull has said yes and only media is
	// waited for.
	Answered func()
	// Repairs, if not nil, is told what was repaired in a pull's media, from within Read.
	Repairs func([]packetbuf.Repair)
	// Redirects lets an answer over HTTP lead a pull to another host. Without, only to another path or
	// port of its own.
	Redirects bool
	TLS       *tls.Config // of rtmps and https; nil: the system's roots, the URL's host
	Timeouts  Timeouts    // what is 0 has its default
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
