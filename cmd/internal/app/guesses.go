package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/relay/admission"
)

// guesses slows down and logs requests to the admin address with a wrong token.
type guesses struct {
	tries *admission.Guesses
	log   *slog.Logger

	mu     sync.Mutex // guards what follows
	logged time.Time
	more   int // since then
}

func newGuesses(log *slog.Logger) *guesses { return &guesses{tries: admission.NewGuesses(), log: log} }

// guessLogEvery is how often wrong tokens are logged at the most.
const guessLogEvery = 10 * time.Second

// wrong logs a request with a wrong token and returns when it is time to answer it.
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
	_ = g.tries.Wrong(ctx, remote) // whoever has gone needs no answer
}
