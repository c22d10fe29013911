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

// Hosts limits dials with one circuit breaker for each host:port. The routes of all streams share
// it. Dials that must wait are admitted in order of arrival.
type Hosts struct {
	mu     sync.Mutex // guards the fields below
	cfg    policy.BreakerConfig
	byName map[string]*host
}

// host is the state of one host:port.
type host struct {
	breaker *policy.Breaker
	waiting []chan struct{} // one for each waiting dial, closed when it is admitted
	timer   *time.Timer     // fires when the breaker may admit the next dial; nil: no dial waits for it
}

// NewHosts returns Hosts whose breakers use cfg.
func NewHosts(cfg policy.BreakerConfig) *Hosts {
	return &Hosts{cfg: cfg, byName: map[string]*host{}}
}

// Enter waits until the breaker of a host admits a dial. It returns the error of ctx if ctx is done first.
// If it returns nil, Leave must be called.
func (h *Hosts) Enter(ctx context.Context, name string) error {
	h.mu.Lock()
	entry := h.byName[name]
	if entry == nil {
		h.evict()
		entry = &host{breaker: policy.NewBreaker(h.cfg)}
		h.byName[name] = entry
	}
	admitted := make(chan struct{})
	entry.waiting = append(entry.waiting, admitted)
	h.admit(entry)
	h.mu.Unlock()
	select {
	case <-admitted:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(entry.waiting, admitted); i >= 0 {
		entry.waiting = slices.Delete(entry.waiting, i, i+1)
	} else { // admitted at the same moment
		entry.breaker.Done(time.Now(), "")
	}
	h.admit(entry)
	return ctx.Err()
}

// maxHosts bounds the number of hosts that are kept, because a URL may contain the stream's name in
// its host.
const maxHosts = 1000

// evict removes the hosts that are not being dialed, if there are too many. h.mu must be held.
func (h *Hosts) evict() {
	if len(h.byName) < maxHosts {
		return
	}
	now := time.Now()
	for name, entry := range h.byName {
		if len(entry.waiting) == 0 && entry.breaker.Status(now).InFlight == 0 {
			delete(h.byName, name)
		}
	}
}

// Leave reports the outcome of an admitted dial to the breaker. An empty outcome says nothing about
// the host.
func (h *Hosts) Leave(name string, o qos.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry := h.byName[name]
	entry.breaker.Done(time.Now(), o)
	h.admit(entry)
}

// admit admits the waiting dials that the breaker allows. h.mu must be held.
func (h *Hosts) admit(entry *host) {
	if entry.timer != nil {
		entry.timer.Stop()
		entry.timer = nil
	}
	for len(entry.waiting) > 0 {
		ok, wait := entry.breaker.Ask(time.Now())
		if !ok {
			if wait > 0 {
				entry.timer = time.AfterFunc(wait, func() {
					h.mu.Lock()
					defer h.mu.Unlock()
					h.admit(entry)
				})
			}
			return
		}
		close(entry.waiting[0])
		entry.waiting = slices.Delete(entry.waiting, 0, 1)
	}
}

// Reset closes the breaker of a host. It returns false if the host has none.
func (h *Hosts) Reset(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	entry := h.byName[name]
	if entry == nil {
		return false
	}
	entry.breaker.Reset(time.Now())
	h.admit(entry)
	return true
}

// Configure changes the configuration of all breakers and resets them. Dials in progress still count.
func (h *Hosts) Configure(cfg policy.BreakerConfig) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cfg == h.cfg {
		return
	}
	h.cfg = cfg
	for _, entry := range h.byName {
		entry.breaker.Configure(cfg)
		h.admit(entry)
	}
}

// Close stops the timers. No dial may be waiting.
func (h *Hosts) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, entry := range h.byName {
		if entry.timer != nil {
			entry.timer.Stop()
		}
	}
}

// BreakerStatus is the status of the breaker of one host:port.
type BreakerStatus struct {
	Host    string `json:"host"`
	Waiting int    `json:"waiting"` // waiting dials and probes
	policy.BreakerStatus
}

// Status returns the status of all breakers, sorted by host.
func (h *Hosts) Status(now time.Time) []BreakerStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]BreakerStatus, 0, len(h.byName))
	for name, entry := range h.byName {
		out = append(out, BreakerStatus{Host: name, Waiting: len(entry.waiting), BreakerStatus: entry.breaker.Status(now)})
	}
	slices.SortFunc(out, func(a, b BreakerStatus) int { return strings.Compare(a.Host, b.Host) })
	return out
}
