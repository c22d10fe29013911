package cmaf

import (
	"context"
	"sync"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// source is a fake stream. Its subscriptions get the packets that are given from then on.
type source struct {
	refuse error
	done   chan struct{}

	mu     sync.Mutex // guards the fields below
	opens  int
	closes int
	places []*fakeSubscription
	before []*packetbuf.Packet // first packets of each subscription
}

func newSource() *source { return &source{done: make(chan struct{})} }

func (s *source) open(context.Context, string, bool) (egress.Subscription, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	p := &fakeSubscription{s: s, packets: make(chan []*packetbuf.Packet, 4096)}
	if s.before != nil {
		p.packets <- s.before
	}
	s.places = append(s.places, p)
	return p, nil
}

func (s *source) give(packets ...*packetbuf.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.places {
		p.packets <- packets
	}
}

// finish ends the newest subscription with an error.
func (s *source) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[len(s.places)-1]
	p.err = err
	close(p.packets)
	s.places = nil
}

type fakeSubscription struct {
	s       *source
	packets chan []*packetbuf.Packet
	err     error
}

func (p *fakeSubscription) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	select {
	case got, ok := <-p.packets:
		if !ok {
			return nil, p.err
		}
		return got, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *fakeSubscription) Has(packetbuf.Track) bool { return true }
func (p *fakeSubscription) Until() time.Time         { return time.Time{} }
func (p *fakeSubscription) Skip()                    {}
func (p *fakeSubscription) Done() <-chan struct{}    { return p.s.done }
func (p *fakeSubscription) Close() {
	p.s.mu.Lock()
	p.s.closes++
	p.s.mu.Unlock()
}

// closed returns how many subscriptions were closed.
func (s *source) closed() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closes
}
