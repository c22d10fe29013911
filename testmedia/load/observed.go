package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// What goes on while a relay is measured.
const (
	lookEvery = time.Second            // that metrics, list and history are asked for
	comeEvery = 100 * time.Millisecond // that a viewer comes and goes, of whom hooks are asked
)

// observed compares a relay that is watched with one that is left alone. Viewers come and go at
// both.
func observed(ctx context.Context, o options) error {
	calls, hooks, stopHooks, err := receiver()
	if err != nil {
		return err
	}
	defer stopHooks()
	alone, stopAlone, err := startRelay(ctx, &o)
	if err != nil {
		return err
	}
	defer stopAlone()
	watched, stopWatched, err := startRelay(ctx, &o, "--config", hooks)
	if err != nil {
		return err
	}
	defer stopWatched()
	alone.name, watched.name = "alone", "observed"
	answers := &atomic.Int64{}
	alone.beside = func() func() error { return during(ctx, alone.comeAndGo) }
	watched.beside = func() func() error {
		return during(ctx, watched.comeAndGo, looking(watched.admin, answers), listening(watched.admin))
	}
	if err := rounds(ctx, o, alone, watched); err != nil {
		return err
	}
	if calls.Load() == 0 || answers.Load() == 0 {
		return fmt.Errorf("nobody watched: %d calls of hooks, %d answers", calls.Load(), answers.Load())
	}
	fmt.Printf("%d calls of hooks, %d answers of metrics and console\n", calls.Load(), answers.Load())
	more := watched.cpu.Seconds()/watched.over.Seconds() - alone.cpu.Seconds()/alone.over.Seconds()
	fmt.Printf("CPU per gigabit, observed against alone: %.2f; to be observed took %.1f %% of a core\n", watched.perGigabit()/alone.perGigabit(), 100*more)
	return nil
}

// receiver answers hooks on loopback: it allows all. It tells how often it was called, and the
// configuration of a relay that calls it.
func receiver() (calls *atomic.Int64, config string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	calls = &atomic.Int64{}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // what is cut off was called too
		w.WriteHeader(http.StatusNoContent)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	dir, err := os.MkdirTemp("", "holdfast-load")
	stop = func() {
		_ = server.Close()
		serving.Wait()
		_ = os.RemoveAll(dir)
	}
	if err == nil {
		config = filepath.Join(dir, "holdfast.yaml")
		err = os.WriteFile(config, fmt.Appendf(nil, "hooks: [{url: \"http://%s/\"}]\n", l.Addr()), 0o600)
	}
	if err != nil {
		stop()
	}
	return calls, config, stop, err
}

// during runs things until it is ended, and tells what went wrong with them.
func during(ctx context.Context, things ...func(context.Context) error) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make([]error, len(things))
	for i, run := range things {
		running.Go(func() { failed[i] = run(ctx) })
	}
	return func() error {
		cancel()
		running.Wait()
		return errors.Join(failed...)
	}
}

// comeAndGo has a viewer after another join and leave.
func (s *subject) comeAndGo(ctx context.Context) error {
	return every(ctx, comeEvery, func() error {
		v, err := s.open()
		if err != nil {
			return fmt.Errorf("a viewer that came: %w", err)
		}
		defer v.Close()
		n, err := v.Read(make([]byte, 64<<10))
		if err != nil {
			return fmt.Errorf("a viewer that came: %w", err)
		}
		s.bytes.Add(uint64(n)) //nolint:gosec // not negative
		s.mu.Lock()
		s.joins = append(s.joins, time.Since(v.begun))
		s.mu.Unlock()
		return nil
	})
}

// looking asks for what Prometheus and a console ask for.
func looking(admin string, answers *atomic.Int64) func(context.Context) error {
	return func(ctx context.Context) error {
		return every(ctx, lookEvery, func() error {
			for _, path := range []string{"metrics", "api/v1/streams?order=trouble&limit=50", "api/v1/streams/live/load/history"} {
				if err := read(ctx, "http://"+admin+"/"+path); err != nil {
					return err
				}
				answers.Add(1)
			}
			return nil
		})
	}
}

// listening has the stream of events open.
func listening(admin string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := read(ctx, "http://"+admin+"/api/v1/events"); ctx.Err() == nil {
			return errors.Join(errors.New("the events ended"), err)
		}
		return nil
	}
}

// every does something now and then until ctx is done or it fails.
func every(ctx context.Context, d time.Duration, do func() error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		if err := do(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// read asks for something and reads all of it.
func read(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
