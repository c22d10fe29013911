package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-live/holdfast/cmd/internal/app"
	"github.com/holdfast-live/holdfast/configs"
)

// source is where the configuration comes from, and comes from again at a reload.
type source struct {
	file  string
	flags *pflag.FlagSet
}

func (s source) load() (*configs.Config, []string, error) { return configs.Load(s.file, s.flags) }

func sourceOf(cmd *cobra.Command) source {
	file, _ := cmd.Flags().GetString("config") // it is always there
	return source{file: file, flags: cmd.Flags()}
}

func runServe(cmd *cobra.Command, _ []string) error {
	return serve(cmd.Context(), sourceOf(cmd), cmd.ErrOrStderr(), nil)
}

func runCheck(cmd *cobra.Command, _ []string) error {
	src := sourceOf(cmd)
	_, notices, err := src.load()
	if err != nil {
		return err
	}
	for _, n := range notices {
		fmt.Fprintln(cmd.OutOrStdout(), "note:", n)
	}
	fmt.Fprintln(cmd.OutOrStdout(), "the configuration is right")
	return nil
}

// logger writes to w as the configuration says.
func logger(cfg *configs.Config, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(app.Level(cfg.Log.Level))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// serve runs a relay until SIGTERM or SIGINT; beside, if not nil, runs along with it once it
// serves.
func serve(ctx context.Context, src source, w io.Writer, beside func(context.Context, *app.App, *slog.Logger) error) error {
	if ctx == nil {
		ctx = context.Background()
	}
	cfg, notices, err := src.load()
	if err != nil {
		return err
	}
	log, level := logger(cfg, w)
	for _, n := range notices {
		log.Warn(n)
	}
	a, err := app.New(app.Options{Config: cfg, Log: log, Level: level, Version: version()})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := a.Start(ctx); err != nil {
		return err
	}
	log.Info("holdfast serves", "version", version())
	cause := wait(ctx, a, src, log, beside)
	stop() // a second signal ends the process at once
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.Drain.Timeout)
	defer cancel()
	log.Info("draining", "timeout", cfg.Drain.Timeout)
	if err := a.Stop(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(cause, err)
	} else if err != nil {
		log.Warn("drain timeout; what was left was closed")
	}
	log.Info("stopped")
	return cause
}

// wait reloads at SIGHUP and when the file changes, until ctx ends or something fails.
func wait(ctx context.Context, a *app.App, src source, log *slog.Logger, beside func(context.Context, *app.App, *slog.Logger) error) error {
	ctx, cancel := context.WithCancel(ctx)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, reloadSignals...)
	defer signal.Stop(hup)
	changed := make(chan struct{}, 1)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(ctx, src.file, changed, log)
	}()
	finished := make(chan error, 1)
	if beside != nil {
		go func() { finished <- beside(ctx, a, log) }()
	}
	defer func() {
		cancel()
		<-watched
		if beside != nil {
			<-finished
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-finished:
			finished <- nil // for the wait above
			return err
		case err := <-a.Failed():
			return err
		case <-hup:
			reload(a, src, log, "SIGHUP")
		case <-changed:
			reload(a, src, log, "file changed")
		}
	}
}

func watch(ctx context.Context, file string, changed chan<- struct{}, log *slog.Logger) {
	if file == "" {
		return
	}
	err := configs.Watch(ctx, file, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		log.Warn("the configuration file is not watched; reload with SIGHUP", "err", err)
	}
}

func reload(a *app.App, src source, log *slog.Logger, why string) {
	cfg, notices, err := src.load()
	if err != nil {
		log.Error("configuration not reloaded; the one before stays in force", "why", why, "err", err)
		return
	}
	for _, n := range notices {
		log.Warn(n)
	}
	live, restart := a.Reload(cfg)
	log.Info("configuration reloaded", "why", why, "changed", live)
	if len(restart) > 0 {
		log.Warn("changed, and in force only after a restart", "keys", restart)
	}
}
