package rendition

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// stage is Bridges with a fake stream.
type stage struct {
	*Bridges
	t *testing.T

	mu      sync.Mutex // guards the fields below
	script  []*packetbuf.Packet
	then    []*packetbuf.Packet // the script from the next opening on; nil: as it is
	over    bool                // the stream has ended
	broken  error               // what reading gives from now on
	refuse  error
	opened  int
	made    []*packetbuf.Packet
	last    time.Duration
	late    int
	log     strings.Builder
	changed chan struct{} // of one: something was made
}

func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *stage) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func newStage(t *testing.T, program string) *stage {
	t.Helper()
	s := &stage{t: t, last: -1, changed: make(chan struct{}, 1)}
	s.Bridges = NewBridges(BridgeOptions{Open: s.open, Program: program, Log: slog.New(slog.NewTextHandler(s, nil))})
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Log(s.said())
		}
	})
	return s
}

func (s *stage) open(stream string) (Tap, Bridged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || stream != parent {
		return nil, nil, errors.New("not live")
	}
	s.opened++
	s.broken = nil
	if s.then != nil {
		s.script, s.then = s.then, nil
	}
	return &reading{s: s}, s, nil
}

// Bridge accepts the transcoded audio, as a stream does.
func (s *stage) Bridge(p *packetbuf.Packet) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return false, s.refuse
	}
	if p.Kind != packetbuf.Config && p.DTS <= s.last {
		s.late++
		return false, nil
	}
	if p.Kind != packetbuf.Config {
		s.last = p.DTS
	}
	s.made = append(s.made, p)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return true, nil
}

// reading reads the script from its beginning, then waits for more of it.
type reading struct {
	s    *stage
	next int
}

func (r *reading) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	r.s.mu.Lock()
	n := max(r.next, min(r.next+64, len(r.s.script)))
	if n > len(r.s.script) {
		n, r.next = 0, 0 // another script, for another reading
	}
	out, err := r.s.script[r.next:n], r.s.broken
	r.next = n
	r.s.mu.Unlock()
	if len(out) > 0 || err != nil {
		return out, err
	}
	tick := time.NewTimer(20 * time.Millisecond)
	defer tick.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-tick.C:
		return nil, nil
	}
}

func (r *reading) Close() {}

func (s *stage) play(packets ...*packetbuf.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, packets...)
}

func (s *stage) got() []*packetbuf.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.made)
}

// until waits until audio up to dts was transcoded.
func (s *stage) until(dts time.Duration) {
	s.t.Helper()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	for {
		s.mu.Lock()
		there := s.last >= dts
		s.mu.Unlock()
		if there {
			return
		}
		select {
		case <-s.changed:
		case <-end.C:
			s.t.Fatalf("nothing comes up to %v, but up to %v\n%s", dts, s.last, s.said())
		}
	}
}
