package ingest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestSlotsPerAddress(t *testing.T) {
	proxy := netip.MustParseAddr("192.0.2.9")
	s := NewSlots(5, 1)
	s.Share(func(a netip.Addr) bool { return a == proxy })
	from := func(ip string) Slot {
		sl, _ := s.Take(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1})
		return sl
	}
	first := from("192.0.2.1")
	if first.Refusal != "" {
		t.Fatal(first.Refusal)
	}
	if second := from("192.0.2.1"); second.Refusal == "" {
		t.Error("second connection from one address: got a slot, want a refusal")
	} else {
		second.Release()
	}
	for range 3 {
		if sl := from("192.0.2.9"); sl.Refusal != "" {
			t.Errorf("connection from a proxy: got %q, want a slot", sl.Refusal)
		}
	}
	first.Release()
	again := from("192.0.2.1")
	if again.Refusal != "" {
		t.Errorf("after the first was released: got %q, want a slot", again.Refusal)
	}
	if got := s.Used(); got != 4 {
		t.Errorf("got %d slots in use", got)
	}
	if five, six := from("192.0.2.2"), from("192.0.2.3"); five.Refusal != "" || six.Refusal == "" {
		t.Errorf("total limit: got %q, %q, want a slot and a refusal", five.Refusal, six.Refusal)
	}
}

func TestSlots(t *testing.T) {
	s := NewSlots(2, 0)
	var taken []Slot
	for i := range maxBeingRefused + 3 {
		sl, ok := s.Take(tcpAddr("192.0.2.1:1"))
		if want := i < maxBeingRefused+2; ok != want || (sl.Refusal == "") != (i < 2) {
			t.Fatalf("connection %d: got %v, %q, want a slot", i, ok, sl.Refusal)
		}
		if ok {
			taken = append(taken, sl)
		}
	}
	for _, sl := range taken {
		sl.Release()
	}
	if s.Used() != 0 || s.beingRefused != 0 || len(s.perAddr) != 0 {
		t.Errorf("got %+v", s)
	}
	if peerAddress(nil).IsValid() || peerAddress(&net.UnixAddr{Name: "x"}).IsValid() {
		t.Error("a nil address: got an address, want none")
	}
	if peerAddress(tcpAddr("[::ffff:192.0.2.1]:5")) != peerAddress(tcpAddr("192.0.2.1:6")) {
		t.Error("two forms of an address: got two addresses, want one")
	}
}

func tcpAddr(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// A refusal names its limit, and its hint the configuration key of that limit.
func TestSlotRefusalNamesTheLimit(t *testing.T) {
	s := NewSlots(10, 2)
	take := func(addr string) Slot {
		sl, ok := s.Take(tcpAddr(addr))
		if !ok {
			t.Fatalf("%s: got closed without an answer", addr)
		}
		return sl
	}
	take("192.0.2.1:1")
	take("192.0.2.1:2")
	third := take("192.0.2.1:3")
	if want := "limit of connections from one address (2) reached"; third.Refusal != want || third.Hint() != "limits.per_address; if it is a proxy, http.trusted_proxies" {
		t.Errorf("got %q, hint %q, want %q", third.Refusal, third.Hint(), want)
	}
	for i := range 7 {
		take(fmt.Sprintf("192.0.2.%d:1", i+2))
	}
	publisher := take("192.0.2.20:1")
	viewer := publisher.View()
	if want := "viewer limit (9 of 10 connections) reached"; viewer != want || publisher.Hint() != "limits.connections" {
		t.Errorf("got %q, hint %q, want %q", viewer, publisher.Hint(), want)
	}
	publisher.Publish(true)
	last := take("192.0.2.21:1")
	if want := "connection limit (10) reached"; last.Refusal != want || last.Hint() != "limits.connections" {
		t.Errorf("got %q, hint %q, want %q", last.Refusal, last.Hint(), want)
	}
}
