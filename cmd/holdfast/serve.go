package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-live/holdfast/cmd/internal/app"
	"github.com/holdfast-live/holdfast/configs"
)

// source defines where the configuration is read from, at the start and at each reload.
type source struct {
	file  string
	flags *pflag.FlagSet
}

func (s source) load() (*configs.Loaded, error) { return configs.Read(s.file, s.flags) }

// sourceOf returns a source with the flags and the configuration file named by --config. If none is named,
// it uses the file at a default path, if one exists.
func sourceOf(cmd *cobra.Command) source {
	s := namedSource(cmd)
	if s.file == "" && !cmd.Flags().Changed("config") {
		s.file = configs.Find(configs.Files())
	}
	return s
}

// namedSource returns a source with the flags and the configuration file named by --config, if any.
func namedSource(cmd *cobra.Command) source {
	file, _ := cmd.Flags().GetString("config") // the flag exists
	return source{file: file, flags: cmd.Flags()}
}

// String describes where the configuration is read from.
func (s source) String() string {
	if s.file == "" {
		return "no configuration file (" + strings.Join(configs.Files(), ", ") + "): the defaults, environment and flags"
	}
	return s.file
}

func runServe(cmd *cobra.Command, _ []string) error {
	return serve(cmd.Context(), sourceOf(cmd), cmd.ErrOrStderr(), nil)
}

func runCheck(cmd *cobra.Command, _ []string) error {
	src := sourceOf(cmd)
	cfg, err := src.load()
	if err != nil {
		return err
	}
	if err := app.CheckSlates(cfg.Config); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, "read", src)
	for _, n := range cfg.Notices {
		fmt.Fprintln(out, "note:", n)
	}
	for _, warning := range cfg.Warnings() {
		place := warning.Place
		if place != "" {
			place += ": "
		}
		fmt.Fprintf(out, "%swarning: %s\n", place, warning.Text)
	}
	fmt.Fprintln(out, "configuration valid")
	return nil
}

// companion is a function that runs at the same time as the relay, such as the demo.
type companion func(context.Context, *app.App, *slog.Logger) error

// serve runs a relay until SIGTERM, SIGINT or a drain request. It also runs the function beside, unless
// nil, and stops the relay when that returns.
func serve(ctx context.Context, src source, w io.Writer, beside companion) error {
	if ctx == nil {
		ctx = context.Background()
	}
	watcher, unwatched := configs.NewWatcher(src.file)
	if watcher != nil {
		defer watcher.Close()
	}
	cfg, err := src.load()
	if err != nil {
		return err
	}
	if watcher != nil {
		var added bool
		if added, unwatched = watcher.Watch(cfg.SecretFiles()); added {
			if cfg, err = src.load(); err != nil {
				return err
			}
		}
	}
	log, level := logger(cfg.Config, w)
	log.Info("configuration read", "file", src.String())
	warn(log, cfg)
	if unwatched != nil {
		log.Warn("configuration files not watched; reload with SIGHUP", "err", unwatched)
	}
	a, err := app.New(app.Options{Config: cfg.Config, Log: log, Level: level, Version: version(), Commit: commit()})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := a.Start(ctx); err != nil {
		return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
	}
	log.Info("holdfast started", "version", version())
	s := &serving{app: a, src: src, log: log, cfg: cfg.Config, watcher: watcher}
	cause := s.wait(ctx, beside)
	stop() // a second signal terminates the process at once
	return errors.Join(cause, s.drain(context.WithoutCancel(ctx)))
}

// serving is a running relay.
type serving struct {
	app *app.App
	src source
	log *slog.Logger
	cfg *configs.Config // current configuration

	watcher *configs.Watcher // nil if the system cannot watch files
}

// warn logs the notices and warnings of a configuration.
func warn(log *slog.Logger, cfg *configs.Loaded) {
	for _, n := range cfg.Notices {
		log.Warn(n)
	}
	for _, warning := range cfg.Warnings() {
		if warning.Place != "" {
			log.Warn(warning.Text, "at", warning.Place)
		} else {
			log.Warn(warning.Text)
		}
	}
}

// drain stops the relay within the configured timeout.
func (s *serving) drain(ctx context.Context) error {
	timeout := s.cfg.Drain.Timeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.log.Info("draining", "timeout", timeout)
	err := stopWithin(timeout+forceAfter, func() error { return s.app.Stop(ctx) })
	switch {
	case errors.Is(err, errStuck):
		s.log.Error("relay did not stop; terminating the process", "after", timeout+forceAfter, "goroutines", goroutines())
		return err
	case errors.Is(err, context.DeadlineExceeded):
		s.log.Warn("drain timeout; remaining connections closed")
	case err != nil:
		return err
	}
	s.log.Info("stopped")
	return nil
}

// forceAfter is how long after the drain timeout the process terminates even if the relay has not stopped.
const forceAfter = 10 * time.Second

var errStuck = errors.New("relay did not stop in time")

// stopWithin calls stop and returns its error, or errStuck if stop takes longer than limit.
func stopWithin(limit time.Duration, stop func() error) error {
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-stopped:
		return err
	case <-timer.C:
		return errStuck
	}
}

// goroutines returns the stack traces of all goroutines, up to 1 MiB.
func goroutines() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// wait reloads the configuration at SIGHUP and when a file changes. It returns when ctx is done, the
// operator requests a drain, a listener fails or beside returns.
func (s *serving) wait(ctx context.Context, beside companion) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	hup := make(chan os.Signal, 1)
	if len(reloadSignals) > 0 { // without signals Notify would relay all
		signal.Notify(hup, reloadSignals...)
		defer signal.Stop(hup)
	}
	changed := make(chan struct{}, 1)
	if s.watcher != nil {
		running.Go(func() {
			s.watcher.Run(ctx, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
		})
	}
	finished := make(chan error, 1)
	if beside != nil {
		running.Go(func() { finished <- beside(ctx, s.app, s.log) })
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.app.Drain():
			return nil
		case err := <-finished:
			return err
		case err := <-s.app.Failed():
			return err
		case <-hup:
			s.reload("SIGHUP")
		case <-changed:
			s.reload("file changed")
		}
	}
}

func (s *serving) reload(why string) {
	cfg, err := s.src.load()
	if err == nil && s.watcher != nil {
		var added bool
		if added, _ = s.watcher.Watch(cfg.SecretFiles()); added { // they may have changed since they were read
			cfg, err = s.src.load()
		}
	}
	if err != nil {
		attrs := []any{"why", why, "err", err}
		var faults configs.Faults
		if errors.As(err, &faults) && len(faults.Places()) > 0 {
			attrs = append(attrs, "at", strings.Join(faults.Places(), " "))
		}
		s.log.Error("configuration not reloaded; the previous one stays in force", attrs...)
		return
	}
	for _, n := range cfg.Notices {
		s.log.Warn(n)
	}
	live, restart := s.app.Reload(cfg.Config)
	s.cfg = cfg.Config
	s.log.Info("configuration reloaded", "why", why, "changed", live)
	if len(restart) > 0 {
		s.log.Warn("configuration keys changed that need a restart", "keys", restart)
	}
}
