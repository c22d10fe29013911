package route

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// probes are shared: of many streams that stand by for one far side, one probes it and the
// others take its word.
type probes struct {
	hosts *hosts

	mu      sync.Mutex        // guards what follows
	targets map[string]*probe // by target without secrets
}

// probe is the newest probe of a target.
type probe struct {
	done chan struct{} // closed when it has come to its end
	at   time.Time
	ok   bool
	// void tells that it was called back: it says nothing.
	void bool
}

func newProbes(h *hosts) *probes { return &probes{hosts: h, targets: map[string]*probe{}} }

// probe tells whether a target answers: from a probe that is no older than fresh, or one of its
// own, which is noted.
func (p *probes) probe(ctx context.Context, host, target string, o link.Options, fresh time.Duration, note func(qos.Attempt)) bool {
	if host == "" {
		return false
	}
	for ctx.Err() == nil {
		p.mu.Lock()
		known := p.targets[target]
		if known == nil || ended(known) && (known.void || time.Since(known.at) > fresh) {
			known = &probe{done: make(chan struct{})}
			p.targets[target] = known
			p.forget()
			p.mu.Unlock()
			return p.make(ctx, known, host, o, note)
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

func ended(p *probe) bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *probes) make(ctx context.Context, known *probe, host string, o link.Options, note func(qos.Attempt)) bool {
	defer close(known.done)
	known.void = true
	if p.hosts.enter(ctx, host) != nil {
		return false
	}
	timing, err := link.Probe(ctx, o)
	if ctx.Err() != nil {
		p.hosts.leave(host, "")
		return false
	}
	p.hosts.leave(host, link.Classify(err))
	known.at, known.ok, known.void = time.Now(), err == nil, false
	note(link.Attempt(known.at, true, timing, err))
	return err == nil
}

// keptProbes bounds the targets that are remembered.
const keptProbes = 10_000

// forget makes room. p.mu is held.
func (p *probes) forget() {
	if len(p.targets) <= keptProbes {
		return
	}
	for target, known := range p.targets {
		if ended(known) {
			delete(p.targets, target)
		}
	}
}
