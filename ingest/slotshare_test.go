package ingest

import (
	"fmt"
	"testing"
)

// testConn is a connection that has or had a slot.
type testConn struct {
	Slot
	evicted bool
}

func newTestConn(t *testing.T, s *Slots, addr string) *testConn {
	t.Helper()
	v := &testConn{}
	var ok bool
	if v.Slot, ok = s.TakeConn(tcpAddr(addr), func() { v.evicted = true }); !ok {
		t.Fatalf("%s: got closed without an answer", addr)
	}
	return v
}

// A tenth of the slots is kept for publishers: neither viewers nor idle connections fill it.
func TestSlotsAreKeptForPublishers(t *testing.T) {
	s := NewSlots(100, 0)
	for i := range 90 {
		if v := newTestConn(t, s, fmt.Sprintf("192.0.2.1:%d", i+1)); v.View() != "" {
			t.Fatalf("viewer %d: got a refusal, want a slot", i)
		}
	}
	late := newTestConn(t, s, "192.0.2.2:1")
	if why := late.View(); late.Refusal != "" || why != "viewer limit (90 of 100 connections) reached" {
		t.Errorf("a viewer too many: got %q, %q, want a refusal", late.Refusal, why)
	}
	late.Release()
	quiet := newTestConn(t, s, "192.0.2.4:1")
	var silent []*testConn
	for i := range 50 { // they send no request
		silent = append(silent, newTestConn(t, s, fmt.Sprintf("192.0.2.3:%d", i+1)))
	}
	if got := s.Used(); got != 100 {
		t.Errorf("got %d slots in use, want all", got)
	}
	if quiet.evicted || !silent[0].evicted || silent[49].evicted {
		t.Error("got no room, want it from the oldest connection of the address with most on approval")
	}
	for i := range 10 {
		p := newTestConn(t, s, fmt.Sprintf("192.0.2.5:%d", i+1))
		if p.Refusal != "" {
			t.Fatalf("publisher %d: got %q, want a slot", i, p.Refusal)
		}
		p.Publish(true)
		newTestConn(t, s, fmt.Sprintf("192.0.2.3:%d", i+100))
		if p.evicted && i < 9 {
			t.Fatalf("publisher %d: got closed, want it kept", i)
		}
	}
	for _, v := range silent {
		v.Release() // a second time
	}
	if got := s.Used(); got < 90 || got > 100 {
		t.Errorf("after all were released: got %d slots in use", got)
	}
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	s := NewSlots(20, 0)
	var kept []*testConn
	for i := range 18 {
		v := newTestConn(t, s, fmt.Sprintf("192.0.2.1:%d", i+1))
		if v.View() != "" {
			t.Fatal("viewer: got no slot")
		}
		kept = append(kept, v)
	}
	kept[3].Idle(true)
	kept[1].Idle(true)
	kept[3].Idle(false) // another request
	late := newTestConn(t, s, "192.0.2.2:1")
	if why := late.View(); why != "" || !kept[1].evicted || kept[3].evicted {
		t.Errorf("viewer: got %q, idle connection closed: %v, busy one closed: %v, want \"\", true, false", why, kept[1].evicted, kept[3].evicted)
	}
	kept[1].Release()
	if got := s.Used(); got != 18 {
		t.Errorf("got %d slots in use, want 18", got)
	}
}

func TestSlotOfFormerPublisher(t *testing.T) {
	s := NewSlots(10, 0)
	p := newTestConn(t, s, "192.0.2.1:1")
	p.Publish(true)
	for i := range 9 {
		newTestConn(t, s, fmt.Sprintf("192.0.2.2:%d", i+1)).View()
	}
	p.Publish(false)
	if why := p.View(); why != "viewer limit (9 of 10 connections) reached" {
		t.Errorf("former publisher that plays: got %q, want a refusal", why)
	}
	p.Release()
	if s.Used() != 9 || s.viewers != 9 {
		t.Errorf("got %d slots in use, %d of them viewers", s.Used(), s.viewers)
	}
}
