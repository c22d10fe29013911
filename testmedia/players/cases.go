//go:build unix

package main

import (
	"context"
	"time"
)

// scenario is one case of a push that breaks and returns.
type scenario struct {
	name, title string
	away        time.Duration
	// run breaks the push of p. It returns when the stream continues, with the publisher of the continued
	// stream.
	run func(ctx context.Context, p *publisher, again func(width, height int) (*publisher, error), away time.Duration) (*publisher, error)
}

const width, height = 640, 360

var scenarios = []scenario{
	{"none", "no break", 0, none},
	{"kill3", "killed, 3 s away", 3 * time.Second, kill},
	{"kill12", "killed, 12 s away", 12 * time.Second, kill},
	{"hang6", "hung for 6 s, redialled", 6 * time.Second, hang},
	{"thaw8", "stalled for 8 s, same socket", 8 * time.Second, stall},
	{"takeover", "takeover", 0, takeover},
	{"resize", "killed, 3 s away, another size", 3 * time.Second, resize},
}

type redialFunc = func(width, height int) (*publisher, error)

// none does not break the push, for comparison.
func none(_ context.Context, p *publisher, _ redialFunc, _ time.Duration) (*publisher, error) {
	return p, nil
}

func kill(ctx context.Context, p *publisher, redial redialFunc, away time.Duration) (*publisher, error) {
	p.kill()
	pause(ctx, away)
	return redial(width, height)
}

func resize(ctx context.Context, p *publisher, redial redialFunc, away time.Duration) (*publisher, error) {
	p.kill()
	pause(ctx, away)
	return redial(960, 540)
}

// hang leaves the first connection open but silent until the second has been accepted.
func hang(ctx context.Context, p *publisher, redial redialFunc, away time.Duration) (*publisher, error) {
	p.gate.shut()
	pause(ctx, away)
	next, err := redial(width, height)
	pause(ctx, 2*time.Second)
	p.gate.open()
	p.kill()
	return next, err
}

// stall holds the encoder's bytes back while the encoder continues.
func stall(ctx context.Context, p *publisher, _ redialFunc, away time.Duration) (*publisher, error) {
	p.gate.shut()
	pause(ctx, away)
	p.gate.open()
	return p, nil
}

func takeover(ctx context.Context, p *publisher, redial redialFunc, _ time.Duration) (*publisher, error) {
	next, err := redial(width, height)
	pause(ctx, 2*time.Second)
	p.kill()
	return next, err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
