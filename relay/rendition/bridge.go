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

// errObsolete: what the bridge makes is not made of the stream's sound any more.
var errObsolete = errors.New("the stream's sound has changed")

// bridge is one stream's sound in another codec while it is wanted: one crossing after the
// other.
type bridge struct {
	of     *Bridges
	stream string
	to     packetbuf.Codec
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc // with why the bridge is over

	mu       sync.Mutex // guards all below
	until    time.Time  // of the lease
	crossing *crossing  // nil between two
	words    []string   // the last of the program that ran last
	exit     string     // how that exited by itself; empty: it did not
	status   BridgeStatus
}

// lease lets the bridge go on until then at least.
func (b *bridge) lease(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = until
}

// run bridges until it is over.
func (b *bridge) run() {
	var watching sync.WaitGroup
	watching.Go(b.watch)
	why := b.supervise()
	b.cancel(why)
	watching.Wait()
	b.of.forget(b)
	b.log.Info("bridge ends", "reason", why)
}

// watch ends the bridge when its lease is over, and a crossing that hangs.
func (b *bridge) watch() {
	tick := time.NewTicker(b.of.timing.tick)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			b.mu.Lock()
			crossing, wanted := b.crossing, now.Before(b.until)
			b.mu.Unlock()
			if !wanted {
				b.cancel(errUnwanted)
			} else if crossing != nil {
				crossing.look(now, b.of.timing.hang)
			}
		case <-b.ctx.Done():
			return
		}
	}
}

// supervise has one crossing after the other, and returns why it does not any more. While
// somebody wants the bridge it is never given up.
func (b *bridge) supervise() error {
	backoff := policy.DefaultBackoff()
	for failures := 0; ; {
		began := time.Now()
		err := panics.Run(b.once)
		panics.Report(b.log, "audio bridge input", err)
		if b.ctx.Err() != nil {
			return context.Cause(b.ctx)
		}
		pause := b.of.timing.tick - time.Since(began)
		switch {
		case errors.Is(err, errOver), errors.Is(err, errObsolete):
			return err
		case errors.Is(err, errChanged), errors.Is(err, errTap), errors.Is(err, errRefused):
		case errors.Is(err, errNoBridge):
			b.failed(err)
			pause = b.of.timing.pause // told already
		case errors.Is(err, errUnbridged):
			b.failed(err)
			pause = b.of.timing.pause
			b.log.Error("sound is not bridged", "err", err, "again_in", pause)
		default:
			if time.Since(began) >= b.of.timing.steady {
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

// once runs one crossing to its end and returns why it ended.
func (b *bridge) once() error {
	tap, to, err := b.of.o.Open(b.stream)
	if err != nil {
		return fmt.Errorf("%w: %w", errOver, err)
	}
	defer tap.Close()
	c := &crossing{b: b, tap: tap, to: to}
	c.ctx, c.cancel = context.WithCancelCause(b.ctx)
	defer c.cancel(nil)
	b.set(c)
	defer b.set(nil)
	return c.feed()
}

func (b *bridge) set(c *crossing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crossing, b.status.Runs = c, false
}

// begins notes that a program bridges sound of that codec.
func (b *bridge) begins(source packetbuf.Codec) {
	b.mu.Lock()
	b.status.From, b.status.Runs, b.words = source, true, nil
	b.exit = ""
	b.mu.Unlock()
	b.log.Info("bridge begins", "from", source.String())
}

// ended keeps what the program said and how it exited.
func (b *bridge) ended(run *running) {
	words, exit := run.said(), ""
	if run.exit != nil {
		exit = run.exit()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.words, b.exit = words, exit
}

// failure returns how the program failed that ran last.
func (b *bridge) failure(err error) *failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &failure{err: err, said: b.words, memory: b.of.o.Memory}
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
	b.of.failures.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Failures++
	b.status.Err = err.Error()
}

func (b *bridge) restarts() {
	b.of.restarts.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Restarts++
}
