package link

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"
)

// DialFunc opens a connection, like net.Dialer's DialContext.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Timeouts bound each phase of a dial, and what comes after.
type Timeouts struct {
	Dial      time.Duration // name and TCP [5s]
	TLS       time.Duration // [5s]
	Handshake time.Duration // [5s]
	Connect   time.Duration // connect to its answer [5s]
	Publish   time.Duration // createStream to NetStream.Publish.Start [5s]

	Write time.Duration // how long a write may stand still [10s]
	Early time.Duration // until when after publish a close without a word is a rejection [3s]
	Leave time.Duration // how long the far side is given to take a clean end [1s]
}

// Options say where a push goes, and how.
type Options struct {
	URL      string      // rtmp://host/app/name?query or rtmps://; may hold secrets
	Dialer   DialFunc    // nil: a net.Dialer's
	TLS      *tls.Config // of rtmps; nil: the system's roots, the URL's host
	Timeouts Timeouts    // what is 0 has its default
	Log      *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.Timeouts.Dial, 5 * time.Second},
		{&o.Timeouts.TLS, 5 * time.Second},
		{&o.Timeouts.Handshake, 5 * time.Second},
		{&o.Timeouts.Connect, 5 * time.Second},
		{&o.Timeouts.Publish, 5 * time.Second},
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
