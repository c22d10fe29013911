package app

import (
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/api"
)

// sample starts to record the state of all streams in their histories at each step, until the function end
// is called.
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

// viewerEndpoint returns the scheme and the port at which viewers are served over HTTP.
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

// requestDrain requests a drain. It has no effect if one was requested already.
func (a *App) requestDrain() {
	select {
	case a.drain <- struct{}{}:
	default:
	}
}

// Drain returns a channel that receives a value when the operator requests a drain over the API.
// The caller then calls Stop.
func (a *App) Drain() <-chan struct{} { return a.drain }
