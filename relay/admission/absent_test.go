package admission

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestAbsentStreamsOfOneAddress(t *testing.T) {
	u := absentStreams{shared: func(a netip.Addr) bool { return a.IsLoopback() }}
	var leave func()
	for i := range maxAbsent {
		var err error
		if leave, err = u.enter("192.0.2.1:80", fmt.Sprintf("cam/%d", i)); err != nil {
			t.Fatalf("play %d: got %v", i, err)
		}
	}
	if _, err := u.enter("192.0.2.1:80", "cam/0"); err != nil {
		t.Errorf("another play of the same stream: got %v", err)
	}
	if _, err := u.enter("[::ffff:192.0.2.1]:81", "cam/one"); err == nil {
		t.Error("a viewer above the limit was admitted")
	}
	if _, err := u.enter("192.0.2.2:80", "cam/one"); err != nil {
		t.Errorf("another address: got %v", err)
	}
	for i := range 2 * maxAbsent {
		if _, err := u.enter("127.0.0.1:80", fmt.Sprintf("cam/%d", i)); err != nil {
			t.Errorf("a shared address: got %v", err)
		}
	}
	for i := range maxAbsent {
		if _, err := u.enter(fmt.Sprintf("[2001:db8::%x]:80", i+1), fmt.Sprintf("cam/%d", i)); err != nil {
			t.Fatalf("play %d of a /64: got %v", i, err)
		}
	}
	if _, err := u.enter("[2001:db8::ffff]:80", "cam/one"); err == nil {
		t.Error("a viewer above the limit of a /64 was admitted")
	}
	leave()
	if _, err := u.enter("192.0.2.1:80", "cam/one"); err != nil {
		t.Errorf("when one has left: got %v", err)
	}
}
