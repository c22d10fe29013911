package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
)

// listener is an address and its server.
type listener struct {
	component  string // also the prefix of its configuration keys
	key        string // configuration key of the address; if empty, component.listen
	addr       string
	cert, priv string // certificate and key of TLS; empty without TLS
	protocols  []string
	serve      func(net.Listener) error
	suggestion string // address to suggest if this one is in use
}

func (a *App) listeners(cfg *configs.Config) []listener {
	return []listener{
		{component: "rtmp", addr: cfg.RTMP.Listen, serve: a.rtmp[ingest.RTMP].Serve, suggestion: ":1936"},
		{
			component: "rtmps", addr: cfg.RTMPS.Listen, cert: cfg.RTMPS.Cert, priv: cfg.RTMPS.Key,
			serve: a.rtmp[ingest.RTMPS].Serve, suggestion: ":1944",
		},
		{
			component: "http", addr: cfg.HTTP.Listen, cert: cfg.HTTP.Cert, priv: cfg.HTTP.Key, protocols: []string{"h2", "http/1.1"},
			serve: a.http.Serve, suggestion: ":8088",
		},
		{component: "admin", addr: cfg.Admin.Listen, serve: a.admin.Serve, suggestion: "127.0.0.1:8082"},
	}
}

// listen listens on the address of l, with TLS if l has a certificate.
func (a *App) listen(ctx context.Context, l listener) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", l.addr)
	if err != nil {
		return nil, a.refusedAddress(l, err)
	}
	if l.component == "http" {
		ln = a.slots.Listener(ln)
	}
	if l.cert == "" {
		return ln, nil
	}
	c := &certificate{cert: l.cert, key: l.priv}
	if err := c.load(); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("%s.cert: %w", l.component, err)
	}
	a.certs[l.component+".cert"] = c
	return tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: l.protocols}), nil
}

// refusedAddress returns the error for the address of l, which is not available because of err. The error
// names the configuration key and contains a hint.
func (a *App) refusedAddress(l listener, err error) error {
	key := cmp.Or(l.key, l.component+".listen")
	switch {
	case errors.Is(err, errInUse):
		return fmt.Errorf("%s: the address %s is taken by another program; choose another with --%s %s or %s=%s",
			key, l.addr, key, l.suggestion, env(key), l.suggestion)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %s needs rights that this process does not have; choose a port from 1024 on with --%s", key, l.addr, key)
	}
	return fmt.Errorf("%s: %w", key, err)
}

func env(key string) string {
	return "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// certificate is a certificate that can be reloaded while it is in use.
type certificate struct {
	cert, key string
	loaded    atomic.Pointer[tls.Certificate]
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.loaded.Store(&pair)
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.loaded.Load(), nil
}
