// Package dial has what all dials of a relay share: breakers by host, probes by target, and the addresses
// from which the relay might push to itself.
package dial

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// Probes are shared: of many streams on standby for one target, one probes it and the others use the result.
type Probes struct {
	hosts *Hosts

	mu      sync.Mutex        // guards what follows
	targets map[string]*probe // by target without secrets
}

// probe is the newest probe of one target.
type probe struct {
	done chan struct{} // closed at its end
	at   time.Time
	ok   bool
	void bool // it was canceled, and says nothing
}

// NewProbes returns Probes that dial in turn with h.
func NewProbes(h *Hosts) *Probes { return &Probes{hosts: h, targets: map[string]*probe{}} }

// Probe reports whether a target answers: by a probe no older than fresh, or by one of its own, for which
// note is called.
func (p *Probes) Probe(ctx context.Context, host, target string, o link.Options, fresh time.Duration, note func(qos.Attempt)) bool {
	if host == "" {
		return false
	}
	for ctx.Err() == nil {
		p.mu.Lock()
		known := p.targets[target]
		if known == nil || finished(known) && (known.void || time.Since(known.at) > fresh) {
			known = &probe{done: make(chan struct{})}
			p.targets[target] = known
			p.forget()
			p.mu.Unlock()
			return p.run(ctx, known, host, o, note)
		}
		p.mu.Unlock()
		select {
		case <-known.done:
			if !known.void {
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

func (p *Probes) run(ctx context.Context, known *probe, host string, o link.Options, note func(qos.Attempt)) bool {
	defer close(known.done)
	known.void = true
	if p.hosts.Enter(ctx, host) != nil {
		return false
	}
	timing, err := link.Probe(ctx, o)
	if ctx.Err() != nil {
		p.hosts.Leave(host, "")
		return false
	}
	p.hosts.Leave(host, link.Classify(err))
	known.at, known.ok, known.void = time.Now(), err == nil, false
	note(link.Attempt(known.at, true, timing, err))
	return err == nil
}

// maxProbes bounds the targets whose probes are kept.
const maxProbes = 10_000

// forget drops probes that have ended, where there are too many. p.mu is held.
func (p *Probes) forget() {
	if len(p.targets) <= maxProbes {
		return
	}
	for target, known := range p.targets {
		if finished(known) {
			delete(p.targets, target)
		}
	}
}
