package app

import (
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/api"
)

// sample notes every step how all streams are, until it is ended.
func (a *App) sample() (end func()) {
	stop, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		step := time.NewTicker(api.HistoryStep)
		watched := newProxyWatch()
		defer step.Stop()
		for {
			select {
			case <-stop:
				return
			case now := <-step.C:
				watched.look(a)
				a.past.Sample(now, a.relay.Streams(), (&routesView{routes: a.routes}).Lines())
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-gone
	})
}

// watch is where viewers are served.
func (a *App) watch() api.Watch {
	out := api.Watch{Scheme: "http"}
	if a.settings.get().HTTP.Cert != "" {
		out.Scheme = "https"
	}
	if addr, ok := a.addrs["http"].(*net.TCPAddr); ok {
		out.Port = addr.Port
	}
	return out
}

// askDrain passes on that the operator wants the relay to end. Once is enough.
func (a *App) askDrain() {
	select {
	case a.drain <- struct{}{}:
	default:
	}
}

// Drain yields when the operator has asked over the API for the end: whoever runs the relay
// then calls Stop.
func (a *App) Drain() <-chan struct{} { return a.drain }
