package dial

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// Hosts has a breaker for each host that is dialed, which the routes of all streams share. Dials that
// have to wait are admitted in the order in which they asked.
type Hosts struct {
	mu     sync.Mutex // guards all below
	cfg    policy.BreakerConfig
	byName map[string]*host
}

// host is one host, by host:port.
type host struct {
	breaker *policy.Breaker
	waiting []chan struct{} // each closed when its turn has come
	timer   *time.Timer     // of the next turn; nil: no dial waits for one
}

// NewHosts returns Hosts whose breakers have a configuration.
func NewHosts(cfg policy.BreakerConfig) *Hosts {
	return &Hosts{cfg: cfg, byName: map[string]*host{}}
}

// Enter waits for the right to dial a host. Its error is ctx's; without one, Leave is to be called.
func (h *Hosts) Enter(ctx context.Context, name string) error {
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
	} else { // its turn has come at the same moment
		at.breaker.Done(time.Now(), "")
	}
	h.admit(at)
	return ctx.Err()
}

// maxHosts bounds the hosts that are kept: a URL may have the stream's name in its host.
const maxHosts = 1000

// forget drops the hosts that are not being dialed, where there are too many. h.mu is held.
func (h *Hosts) forget() {
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

// Leave gives the right back, with the outcome of the dial; an empty one says nothing about the host.
func (h *Hosts) Leave(name string, o qos.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.byName[name]
	at.breaker.Done(time.Now(), o)
	h.admit(at)
}

// admit admits the dials that the breaker allows. h.mu is held.
func (h *Hosts) admit(at *host) {
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

// Reset closes the breaker of a host. It returns false if there is none.
func (h *Hosts) Reset(name string) bool {
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

// Configure changes the configuration of all breakers. They begin anew, but for dials under way.
func (h *Hosts) Configure(cfg policy.BreakerConfig) {
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

// Close stops the timers. No dial may be waiting.
func (h *Hosts) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.byName {
		if at.timer != nil {
			at.timer.Stop()
		}
	}
}

// BreakerStatus is the breaker of one host.
type BreakerStatus struct {
	Host    string `json:"host"`
	Waiting int    `json:"waiting"` // dials and probes that wait
	policy.BreakerStatus
}

// Status returns the breakers, sorted by host.
func (h *Hosts) Status(now time.Time) []BreakerStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]BreakerStatus, 0, len(h.byName))
	for name, at := range h.byName {
		out = append(out, BreakerStatus{Host: name, Waiting: len(at.waiting), BreakerStatus: at.breaker.Status(now)})
	}
	slices.SortFunc(out, func(a, b BreakerStatus) int { return strings.Compare(a.Host, b.Host) })
	return out
}
