// Package dial holds the state that all dials of a relay share: circuit breakers by host, probes by
// target, and the local addresses that reveal a push from the relay to itself.
package dial

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// Probes shares probes between streams. If many streams have a standby route to the same target, one of
// them probes it and the others use its result.
type Probes struct {
	hosts *Hosts

	mu      sync.Mutex        // guards the fields below
	targets map[string]*probe // keyed by target without secrets
}

// probe is the latest probe of one target.
type probe struct {
	done     chan struct{} // closed when the probe has ended
	at       time.Time
	ok       bool
	canceled bool // the result is unknown
}

// NewProbes returns Probes whose dials are limited by h.
func NewProbes(h *Hosts) *Probes { return &Probes{hosts: h, targets: map[string]*probe{}} }

// Probe reports whether a target accepts connections. It uses the result of a probe no older than fresh,
// or runs one and calls record with it. It returns false if host is empty or ctx is done.
func (p *Probes) Probe(ctx context.Context, host, target string, o link.Options, fresh time.Duration, record func(qos.Attempt)) bool {
	if host == "" {
		return false
	}
	for ctx.Err() == nil {
		p.mu.Lock()
		known := p.targets[target]
		if known == nil || finished(known) && (known.canceled || time.Since(known.at) > fresh) {
			known = &probe{done: make(chan struct{})}
			p.targets[target] = known
			p.evict()
			p.mu.Unlock()
			return p.dial(ctx, known, host, o, record)
		}
		p.mu.Unlock()
		select {
		case <-known.done:
			if !known.canceled {
				return known.ok
			}
		case <-ctx.Done():
		}
	}
	return false
}

func finished(p *probe) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *Probes) dial(ctx context.Context, known *probe, host string, o link.Options, record func(qos.Attempt)) bool {
	defer close(known.done)
	known.canceled = true
	if p.hosts.Enter(ctx, host) != nil {
		return false
	}
	timing, err := link.Probe(ctx, o)
	if ctx.Err() != nil {
		p.hosts.Leave(host, "")
		return false
	}
	p.hosts.Leave(host, link.Classify(err))
	known.at, known.ok, known.canceled = time.Now(), err == nil, false
	record(link.Attempt(known.at, true, timing, err))
	return err == nil
}

// maxProbes bounds the number of targets whose probes are kept.
const maxProbes = 10_000

// evict removes probes that have ended, if there are too many. p.mu must be held.
func (p *Probes) evict() {
	if len(p.targets) <= maxProbes {
		return
	}
	for target, known := range p.targets {
		if finished(known) {
			delete(p.targets, target)
		}
	}
}
