package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/holdfast-live/holdfast/ingest/rtmp"
)

// Start listens on all configured addresses and starts to serve. If an address is not available, the error
// names its configuration key. Stop must be called even if Start fails.
func (a *App) Start(ctx context.Context) error {
	cfg := a.settings.get()
	type bound struct {
		listener
		on net.Listener
	}
	var taken []bound
	for _, l := range a.listeners(cfg) {
		if l.addr == "" {
			continue
		}
		on, err := a.listen(ctx, l)
		if err != nil {
			for _, t := range taken {
				_ = t.on.Close()
			}
			return err
		}
		taken = append(taken, bound{l, on})
		a.addrs[l.component] = on.Addr()
	}
	if err := a.startPeers(ctx, cfg); err != nil {
		for _, t := range taken {
			_ = t.on.Close()
		}
		return err
	}
	for _, t := range taken {
		a.log.Info("listening", "component", t.component, "addr", t.on.Addr().String())
	}
	if warning := openWarning(cfg); warning != "" {
		a.log.Warn(warning)
	}
	a.started.pushFunc("grace", a.expectStreams())
	for _, t := range taken {
		a.serving.Go(func() {
			if err := t.serve(t.on); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, rtmp.ErrServerClosed) {
				a.failed <- fmt.Errorf("%s: %w", t.component, err)
			}
		})
	}
	a.startRoutes()
	a.started.pushFunc("histories", a.sample())
	boundHeap(cfg, a.relay.memory.machine)
	a.started.pushFunc("memory", a.relay.memory.start())
	a.relay.ready.Store(true)
	return nil
}

// Stop shuts the relay down. It accepts no new connections, tells viewers and publishers the reason, and
// waits until all have left or ctx is done. Then it closes the remaining connections. It returns an error
// that wraps that of ctx if ctx was done before all had left.
func (a *App) Stop(ctx context.Context) error {
	a.relay.ready.Store(false)
	a.names.Freeze()
	return a.started.stop(ctx)
}

func (a *App) stopPlaylists() {
	a.hls.Close()
	a.mse.Close()
	a.states.Close()
	a.feeds.Close()
	a.previews.Close()
}

// stopServers stops the servers of viewers and publishers. It waits until all clients have left or ctx is
// done.
func (a *App) stopServers(ctx context.Context) error {
	var errs []error
	for _, s := range a.rtmp {
		errs = append(errs, s.Shutdown(ctx))
	}
	if a.flv != nil {
		a.flv.Close()
	}
	errs = append(errs, a.stopPeers(ctx))
	if a.http != nil {
		errs = append(errs, a.http.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// stopAdmin stops the admin server, closes the remaining connections of all servers, and waits until the
// servers have returned.
func (a *App) stopAdmin(ctx context.Context) error {
	var err error
	if a.admin != nil {
		err = a.admin.Shutdown(ctx)
		_ = a.admin.Close()
	}
	for _, s := range a.rtmp {
		_ = s.Close()
	}
	if a.http != nil {
		_ = a.http.Close()
	}
	a.serving.Wait()
	return err
}
