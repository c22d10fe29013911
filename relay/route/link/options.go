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

// Timeouts bounds the phases of a dial and of the connection. The phases from TCP on start again
// with each address that is tried. The defaults are in brackets.
type Timeouts struct {
	DNS       time.Duration // [5s]
	TCP       time.Duration // at most 2s while another address is left to try [5s]
	TLS       time.Duration // [5s]
	Handshake time.Duration // of RTMP [5s]
	Connect   time.Duration // from connect to its answer, or from an HTTP request to its response [5s]
	Publish   time.Duration // from createStream to NetStream.Publish.Start or Play.Start [5s]
	Media     time.Duration // of a pull: until the first media packet [10s]

	Write time.Duration // how long a write may block [10s]
	Early time.Duration // time after publish during which a close without a reason is a rejection [3s]
	Leave time.Duration // how long to wait for the peer to read a clean end [1s]
}

// Options describes a connection.
type Options struct {
	// URL is rtmp://host/app/name?query or rtmps://. For a pull or a probe it may also be http:// or
	// https://. It may contain secrets.
	URL string
	// Resolve returns the addresses of the host, unless the host is an address. Nil means
	// net.DefaultResolver, or, if Dialer is set, that the dialer resolves the name.
	Resolve ResolveFunc
	// Dialer connects to host:port, where host is an address if it was resolved. Nil means a
	// net.Dialer.
	Dialer DialFunc
	// First is the index of the address to try first, modulo the number of addresses. The caller
	// increments it with each retry.
	First int
	// Answered, if not nil, is called when the origin of a pull has accepted the request and only its
	// media has not arrived yet.
	Answered func()
	// Repairs, if not nil, is called from Read with the repairs made to the pull's media.
	Repairs func([]packetbuf.Repair)
	// Redirects allows an HTTP response to redirect a pull to another host. Otherwise, only redirects
	// to another path or port of the same host are followed.
	Redirects bool
	TLS       *tls.Config // for rtmps and https; nil: verify the URL's host with the system's roots
	Timeouts  Timeouts    // a timeout of 0 means its default
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
