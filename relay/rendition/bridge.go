package rendition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/delay"
)

// errObsolete means that the bridge's target codec does not match the codec of the stream's audio
// any more.
var errObsolete = errors.New("the stream's audio codec has changed")

// bridge transcodes one stream's audio to another codec while that is wanted. It runs ffmpeg, and
// restarts it when a run ends.
type bridge struct {
	bridges *Bridges
	stream  string
	to      packetbuf.Codec
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelCauseFunc // called with the reason why the bridge ends

	mu         sync.Mutex // guards the fields below
	until      time.Time  // end of the lease, which Want extends
	current    *bridgeRun // nil between two runs
	lastOutput []string   // last lines of ffmpeg's standard error in the last run
	exit       string     // exit status of the last run; empty if ffmpeg did not exit by itself
	status     BridgeStatus
}

// lease sets the end of the bridge's lease.
func (b *bridge) lease(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = until
}

// run runs the bridge until it ends.
func (b *bridge) run() {
	var watching sync.WaitGroup
	watching.Go(b.watch)
	why := b.supervise()
	b.cancel(why)
	watching.Wait()
	b.bridges.remove(b)
	b.log.Info("bridge ended", "reason", why)
}

// watch ends the bridge when its lease has expired, and ends a run that hangs.
func (b *bridge) watch() {
	tick := time.NewTicker(b.bridges.timing.tick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			b.mu.Lock()
			crossing, wanted := b.current, now.Before(b.until)
			b.mu.Unlock()
			if !wanted {
				b.cancel(errUnwanted)
			} else if crossing != nil {
				crossing.check(now, b.bridges.timing.hang)
			}
		case <-b.ctx.Done():
			return
		}
	}
}

// supervise starts one run after another, and returns why the bridge ends. It retries for as long as
// the bridge is wanted.
func (b *bridge) supervise() error {
	backoff := policy.DefaultBackoff()
	for failures := 0; ; {
		launched := time.Now()
		err := panics.Run(b.once)
		panics.Report(b.log, "audio bridge input", err)
		if b.ctx.Err() != nil {
			return context.Cause(b.ctx)
		}
		pause := b.bridges.timing.tick - time.Since(launched)
		switch {
		case errors.Is(err, errOver), errors.Is(err, errObsolete):
			return err
		case errors.Is(err, errChanged), errors.Is(err, errTap), errors.Is(err, errRefused):
		case errors.Is(err, errNoBridge):
			b.failed(err)
			pause = b.bridges.timing.pause // already logged
		case errors.Is(err, errUnbridged):
			b.failed(err)
			pause = b.bridges.timing.pause
			b.log.Error("audio bridge failed", "err", err, "again_in", pause)
		default:
			if time.Since(launched) >= b.bridges.timing.steady {
				failures = 0
			}
			pause = backoff.Delay(failures, rand.Float64()) //nolint:gosec // chance, no secret
			failures++
			failure := b.failure(err)
			b.failed(failure)
			b.log.Warn("bridge failed", append(failure.attrs(), "again_in", pause)...)
		}
		if delay.Sleep(b.ctx, pause) != nil {
			return context.Cause(b.ctx)
		}
		b.restarts()
	}
}

// once performs one run and returns why it ended.
func (b *bridge) once() error {
	tap, to, err := b.bridges.o.Open(b.stream)
	if err != nil {
		return fmt.Errorf("%w: %w", errOver, err)
	}
	defer tap.Close()
	c := &bridgeRun{bridge: b, tap: tap, receiver: to}
	c.ctx, c.cancel = context.WithCancelCause(b.ctx)
	defer c.cancel(nil)
	b.setRun(c)
	defer b.setRun(nil)
	return c.feed()
}

func (b *bridge) setRun(c *bridgeRun) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current, b.status.Runs = c, false
}

// setRunning records that a run is transcoding audio of codec source.
func (b *bridge) setRunning(source packetbuf.Codec) {
	b.mu.Lock()
	b.status.From, b.status.Runs, b.lastOutput = source, true, nil
	b.exit = ""
	b.mu.Unlock()
	b.log.Info("bridge started", "from", source.String())
}

// recordEnd records the last lines of output and the exit status of a run.
func (b *bridge) recordEnd(run *running) {
	words, exit := run.output(), ""
	if run.exit != nil {
		exit = run.exit()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastOutput, b.exit = words, exit
}

// failure returns the failure of the last run.
func (b *bridge) failure(err error) *failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &failure{err: err, output: b.lastOutput, memory: b.bridges.o.Memory}
	if errors.Is(err, errExit) {
		f.exit = b.exit
	}
	return f
}

func (b *bridge) count(kept bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kept {
		b.status.Packets++
	} else {
		b.status.Dropped++
	}
}

func (b *bridge) failed(err error) {
	b.bridges.failures.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Failures++
	b.status.Err = err.Error()
}

func (b *bridge) restarts() {
	b.bridges.restarts.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Restarts++
}
