package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/admission"
)

// guesses delays and logs requests to the admin address that have a wrong token.
type guesses struct {
	tries *admission.Guesses
	log   *slog.Logger

	mu     sync.Mutex // guards the fields below
	logged time.Time
	more   int // number of requests since the last log line
}

func newGuesses(log *slog.Logger) *guesses { return &guesses{tries: admission.NewGuesses(), log: log} }

// guessLogEvery is the minimum interval between log lines about wrong tokens.
const guessLogEvery = 10 * time.Second

// wrong logs a request with a wrong token. It delays the request by not returning until the request
// should be answered.
func (g *guesses) wrong(ctx context.Context, remote string) {
	now := time.Now()
	g.mu.Lock()
	g.more++
	count, due := g.more, now.Sub(g.logged) >= guessLogEvery
	if due {
		g.logged, g.more = now, 0
	}
	g.mu.Unlock()
	if due {
		g.log.Warn("wrong admin token", "remote", remote, "requests", count)
	}
	_ = g.tries.Wrong(ctx, remote) // fails if the client has gone
}
