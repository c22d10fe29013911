package ingest

import (
	"fmt"
	"testing"
)

// visitor is a connection that holds a slot, or did.
type visitor struct {
	Slot
	evicted bool
}

func visit(t *testing.T, s *Slots, addr string) *visitor {
	t.Helper()
	v := &visitor{}
	var ok bool
	if v.Slot, ok = s.TakeConn(tcpAddr(addr), func() { v.evicted = true }); !ok {
		t.Fatalf("%s was closed without a word", addr)
	}
	return v
}

// A tenth of the slots is publishers': neither viewers nor connections that say nothing fill it.
func TestSlotsAreKeptForPublishers(t *testing.T) {
	s := NewSlots(100, 0)
	for i := range 90 {
		if v := visit(t, s, fmt.Sprintf("192.0.2.1:%d", i+1)); v.View() != "" {
			t.Fatalf("viewer %d was refused", i)
		}
	}
	late := visit(t, s, "192.0.2.2:1")
	if why := late.View(); late.Refusal != "" || why != "viewer limit (90 of 100 connections) reached" {
		t.Errorf("a viewer too many got %q, %q", late.Refusal, why)
	}
	late.Release()
	quiet := visit(t, s, "192.0.2.4:1")
	var silent []*visitor
	for i := range 50 { // they say nothing
		silent = append(silent, visit(t, s, fmt.Sprintf("192.0.2.3:%d", i+1)))
	}
	if got := s.Used(); got != 100 {
		t.Errorf("%d slots in use, want all", got)
	}
	if quiet.evicted || !silent[0].evicted || silent[49].evicted {
		t.Error("the address that waits with most has to make room, its oldest first")
	}
	for i := range 10 {
		p := visit(t, s, fmt.Sprintf("192.0.2.5:%d", i+1))
		if p.Refusal != "" {
			t.Fatalf("publisher %d was refused: %s", i, p.Refusal)
		}
		p.Publish(true)
		visit(t, s, fmt.Sprintf("192.0.2.3:%d", i+100))
		if p.evicted && i < 9 {
			t.Fatalf("publisher %d was closed", i)
		}
	}
	for _, v := range silent {
		v.Release() // again
	}
	if got := s.Used(); got < 90 || got > 100 {
		t.Errorf("%d slots in use when closed ones were given back", got)
	}
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	s := NewSlots(20, 0)
	var kept []*visitor
	for i := range 18 {
		v := visit(t, s, fmt.Sprintf("192.0.2.1:%d", i+1))
		if v.View() != "" {
			t.Fatal("no slot for a viewer")
		}
		kept = append(kept, v)
	}
	kept[3].Idle(true)
	kept[1].Idle(true)
	kept[3].Idle(false) // it asked again
	late := visit(t, s, "192.0.2.2:1")
	if why := late.View(); why != "" || !kept[1].evicted || kept[3].evicted {
		t.Errorf("a viewer got %q; the idle one closed: %v, the busy one: %v", why, kept[1].evicted, kept[3].evicted)
	}
	kept[1].Release()
	if got := s.Used(); got != 18 {
		t.Errorf("%d slots in use, want 18", got)
	}
}

func TestAPublisherBecomesAStrangerAgain(t *testing.T) {
	s := NewSlots(10, 0)
	p := visit(t, s, "192.0.2.1:1")
	p.Publish(true)
	for i := range 9 {
		visit(t, s, fmt.Sprintf("192.0.2.2:%d", i+1)).View()
	}
	p.Publish(false)
	if why := p.View(); why != "viewer limit (9 of 10 connections) reached" {
		t.Errorf("it plays in a publisher's slot: %q", why)
	}
	p.Release()
	if s.Used() != 9 || s.common != 9 {
		t.Errorf("%d in use, %d of them viewers", s.Used(), s.common)
	}
}
