package rtmp

import (
	"net"
	"net/netip"
	"testing"
)

func TestSlotsPerAddress(t *testing.T) {
	proxy := netip.MustParseAddr("192.0.2.9")
	s := NewSlots(5, 1)
	s.Share(func(a netip.Addr) bool { return a == proxy })
	from := func(ip string) slot {
		sl, _ := s.take(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1})
		return sl
	}
	first := from("192.0.2.1")
	if first.refusal != "" {
		t.Fatal(first.refusal)
	}
	if second := from("192.0.2.1"); second.refusal == "" {
		t.Error("a second connection from one address got a slot")
	} else {
		second.release()
	}
	for range 3 {
		if sl := from("192.0.2.9"); sl.refusal != "" {
			t.Errorf("from a proxy, which stands for many: %s", sl.refusal)
		}
	}
	first.release()
	again := from("192.0.2.1")
	if again.refusal != "" {
		t.Errorf("after the first has gone: %s", again.refusal)
	}
	if got := s.Used(); got != 4 {
		t.Errorf("%d in use", got)
	}
	if five, six := from("192.0.2.2"), from("192.0.2.3"); five.refusal != "" || six.refusal == "" {
		t.Errorf("the bound of all: %q, %q", five.refusal, six.refusal)
	}
}
