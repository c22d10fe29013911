package route

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
)

// maxHistories bounds the routes that are remembered.
const maxHistories = 1000

// histories are the histories of all routes, by group/route: all streams add to them.
type histories struct {
	mu  sync.Mutex // guards all
	all *qos.Histories
}

func newHistories(all *qos.Histories) *histories {
	if all == nil {
		all = qos.NewHistories(maxHistories)
	}
	return &histories{all: all}
}

func (h *histories) attempt(key string, a qos.Attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
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

// DecodeHistories reads what Routes.Histories wrote.
func DecodeHistories(data []byte, now time.Time) (*qos.Histories, error) {
	return qos.DecodeHistories(data, now, maxHistories)
}
