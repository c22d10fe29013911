package route

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// hosts has a breaker for each far host, which the routes of all streams share. Who has to
// wait is let through in the order of asking.
type hosts struct {
	mu     sync.Mutex // guards all below
	cfg    policy.BreakerConfig
	byName map[string]*host
}

// host is one far host, by host:port.
type host struct {
	breaker *policy.Breaker
	waiting []chan struct{} // each closed when its turn has come
	timer   *time.Timer     // nil while nobody waits for a time to pass
}

func newHosts(cfg policy.BreakerConfig) *hosts {
	return &hosts{cfg: cfg, byName: map[string]*host{}}
}

// enter waits for the right to dial a host. Without an error, leave has to be called.
func (h *hosts) enter(ctx context.Context, name string) error {
	h.mu.Lock()
	at := h.byName[name]
	if at == nil {
		h.forget()
		at = &host{breaker: policy.NewBreaker(h.cfg)}
		h.byName[name] = at
	}
	turn := make(chan struct{})
	at.waiting = append(at.waiting, turn)
	h.admit(at)
	h.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(at.waiting, turn); i >= 0 {
		at.waiting = slices.Delete(at.waiting, i, i+1)
	} else { // it came at the same moment
		at.breaker.Done(time.Now(), "")
	}
	h.admit(at)
	return ctx.Err()
}

// maxHosts bounds the hosts that are remembered: a URL may have the stream's name in its host.
const maxHosts = 1000

// forget makes room among hosts that nobody dials. h.mu is held.
func (h *hosts) forget() {
	if len(h.byName) < maxHosts {
		return
	}
	now := time.Now()
	for name, at := range h.byName {
		if len(at.waiting) == 0 && at.breaker.Status(now).InFlight == 0 {
			delete(h.byName, name)
		}
	}
}

// leave gives a place back and says what became of the dial; an empty outcome tells nothing
// of the host.
func (h *hosts) leave(name string, o qos.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.byName[name]
	at.breaker.Done(time.Now(), o)
	h.admit(at)
}

// admit lets those through whom the breaker lets. h.mu is held.
func (h *hosts) admit(at *host) {
	if at.timer != nil {
		at.timer.Stop()
		at.timer = nil
	}
	for len(at.waiting) > 0 {
		ok, wait := at.breaker.Ask(time.Now())
		if !ok {
			if wait > 0 {
				at.timer = time.AfterFunc(wait, func() {
					h.mu.Lock()
					defer h.mu.Unlock()
					h.admit(at)
				})
			}
			return
		}
		close(at.waiting[0])
		at.waiting = slices.Delete(at.waiting, 0, 1)
	}
}

// reset closes a host's breaker; false if there is none of that name.
func (h *hosts) reset(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.byName[name]
	if at == nil {
		return false
	}
	at.breaker.Reset(time.Now())
	h.admit(at)
	return true
}

// configure changes what breakers go by. Those that are there begin anew, but for the places
// that are taken.
func (h *hosts) configure(cfg policy.BreakerConfig) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cfg == h.cfg {
		return
	}
	h.cfg = cfg
	for _, at := range h.byName {
		at.breaker.Configure(cfg)
		h.admit(at)
	}
}

// close ends the timers. Nobody may be waiting.
func (h *hosts) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.byName {
		if at.timer != nil {
			at.timer.Stop()
		}
	}
}

// BreakerStatus is the breaker of one far host.
type BreakerStatus struct {
	Host    string `json:"host"`
	Waiting int    `json:"waiting"` // dials and probes that wait for their turn
	policy.BreakerStatus
}

func (h *hosts) status(now time.Time) []BreakerStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]BreakerStatus, 0, len(h.byName))
	for name, at := range h.byName {
		out = append(out, BreakerStatus{Host: name, Waiting: len(at.waiting), BreakerStatus: at.breaker.Status(now)})
	}
	slices.SortFunc(out, func(a, b BreakerStatus) int { return strings.Compare(a.Host, b.Host) })
	return out
}
