package app

import (
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/api"
)

// sample records the state of all streams at each step, until end is called.
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
				watched.check(a)
				a.streamHistories.Sample(now, a.relay.Streams(), (&routesView{routes: a.routes}).Lines())
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-gone
	})
}

// viewerEndpoint returns where viewers are served.
func (a *App) viewerEndpoint() api.Watch {
	out := api.Watch{Scheme: "http"}
	if a.settings.get().HTTP.Cert != "" {
		out.Scheme = "https"
	}
	if addr, ok := a.addrs["http"].(*net.TCPAddr); ok {
		out.Port = addr.Port
	}
	return out
}

// requestDrain requests a drain. Further requests have no effect.
func (a *App) requestDrain() {
	select {
	case a.drain <- struct{}{}:
	default:
	}
}

// Drain returns a channel that receives a value when the operator requests a drain over the API.
// The caller then calls Stop.
func (a *App) Drain() <-chan struct{} { return a.drain }
