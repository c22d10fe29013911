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

// Intervals of the tasks that run during a measurement.
const (
	pollInterval = time.Second            // of requests for metrics, streams and history
	joinInterval = 100 * time.Millisecond // of viewers that join and leave; each calls the hooks
)

// compareObserved compares a monitored relay with one that is not. Viewers join and leave at both.
func compareObserved(ctx context.Context, o options) error {
	calls, hooks, stopHooks, err := startHookReceiver()
	if err != nil {
		return err
	}
	defer stopHooks()
	idle, stopIdle, err := startRelay(ctx, &o)
	if err != nil {
		return err
	}
	defer stopIdle()
	monitored, stopMonitored, err := startRelay(ctx, &o, "--config", hooks)
	if err != nil {
		return err
	}
	defer stopMonitored()
	idle.name, monitored.name = "alone", "observed"
	answers := &atomic.Int64{}
	idle.background = func() func() error { return runUntil(ctx, idle.joinAndLeave) }
	monitored.background = func() func() error {
		return runUntil(ctx, monitored.joinAndLeave, pollAdmin(monitored.admin, answers), followEvents(monitored.admin))
	}
	if err := measureRounds(ctx, o, idle, monitored); err != nil {
		return err
	}
	if calls.Load() == 0 || answers.Load() == 0 {
		return fmt.Errorf("the relay was not monitored: %d hook calls, %d answers", calls.Load(), answers.Load())
	}
	fmt.Printf("%d hook calls, %d answers from the admin API\n", calls.Load(), answers.Load())
	more := monitored.cpu.Seconds()/monitored.duration.Seconds() - idle.cpu.Seconds()/idle.duration.Seconds()
	fmt.Printf("CPU per gigabit, observed relative to alone: %.2f; observation took %.1f %% of a core\n", monitored.perGigabit()/idle.perGigabit(), 100*more)
	return nil
}

// startHookReceiver answers hooks on loopback and allows everything. It returns the number of calls so far
// and the configuration file of a relay that calls it.
func startHookReceiver() (calls *atomic.Int64, config string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, err
	}
	calls = &atomic.Int64{}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // a truncated call counts too
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

// runUntil runs tasks until end is called, which returns their errors.
func runUntil(ctx context.Context, tasks ...func(context.Context) error) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make([]error, len(tasks))
	for i, run := range tasks {
		running.Go(func() { failed[i] = run(ctx) })
	}
	return func() error {
		cancel()
		running.Wait()
		return errors.Join(failed...)
	}
}

// joinAndLeave connects one viewer after another, each for one read.
func (s *program) joinAndLeave(ctx context.Context) error {
	return every(ctx, joinInterval, func() error {
		v, err := s.open()
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		defer v.Close()
		n, err := v.Read(make([]byte, 64<<10))
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		s.bytes.Add(uint64(n)) //nolint:gosec // not negative
		s.mu.Lock()
		s.joins = append(s.joins, time.Since(v.begun))
		s.mu.Unlock()
		return nil
	})
}

// pollAdmin requests what Prometheus and a console request.
func pollAdmin(admin string, answers *atomic.Int64) func(context.Context) error {
	return func(ctx context.Context) error {
		return every(ctx, pollInterval, func() error {
			for _, path := range []string{"metrics", "api/v1/streams?order=trouble&limit=50", "api/v1/streams/live/load/history"} {
				if err := get(ctx, "http://"+admin+"/"+path); err != nil {
					return err
				}
				answers.Add(1)
			}
			return nil
		})
	}
}

// followEvents reads the stream of events.
func followEvents(admin string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := get(ctx, "http://"+admin+"/api/v1/events"); ctx.Err() == nil {
			return errors.Join(errors.New("the stream of events ended"), err)
		}
		return nil
	}
}

// every calls do at an interval until ctx is done or do fails.
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

// get requests a URL and reads the whole response.
func get(ctx context.Context, url string) error {
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
		return fmt.Errorf("get %s: %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
