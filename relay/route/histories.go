package route

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// maxHistories bounds the number of routes whose history is kept.
const maxHistories = 1000

// histories holds the histories of all routes, keyed by group/route, over all streams.
type histories struct {
	mu     sync.Mutex // guards all
	all    *qos.Histories
	scores map[string]scored
}

// scored is the latest score of a route, shared by the streams of the route.
type scored struct {
	at    time.Time
	score policy.Score
}

// scoreLifetime is how long a score is reused.
const scoreLifetime = scoreEvery / 2

func newHistories(all *qos.Histories) *histories {
	if all == nil {
		all = qos.NewHistories(maxHistories)
	}
	return &histories{all: all, scores: map[string]scored{}}
}

// score returns the score of a route, computed from its history.
func (h *histories) score(now time.Time, key string) policy.Score {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.scores[key]; ok && now.Sub(s.at) < scoreLifetime {
		return s.score
	}
	if len(h.scores) >= maxHistories {
		clear(h.scores)
	}
	s := policy.ScoreRoute(h.all.Get(now, key).Summary(now))
	h.scores[key] = scored{now, s}
	return s
}

func (h *histories) attempt(key string, a qos.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.scores, key)
	h.all.Get(a.At, key).Attempt(a)
}

func (h *histories) sample(key string, s qos.Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all.Get(s.At, key).Sample(s)
}

func (h *histories) broke(now time.Time, key, cause string, lasted time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.scores, key)
	h.all.Get(now, key).Broke(now, cause, lasted)
}

func (h *histories) summary(now time.Time, key string) qos.Summary {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.Get(now, key).Summary(now)
}

func (h *histories) encode() ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all.Encode()
}

// DecodeHistories decodes the output of Routes.Histories.
func DecodeHistories(data []byte, now time.Time) (*qos.Histories, error) {
	return qos.DecodeHistories(data, now, maxHistories)
}
