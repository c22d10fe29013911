package rtcsock

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

func TestIsAllowedTarget(t *testing.T) {
	for address, want := range map[string]bool{
		"192.0.2.7": true, "10.1.2.3": true, "2001:db8::1": true, "host.example": false,
		"127.0.0.1": false, "127.8.9.10": false, "::1": false, "::ffff:127.0.0.1": false,
		"169.254.169.254": false, "127.0.0.1%x": false, "fe80::1%eth0": false, "2001:db8::1%eth0": true, "fe80::1": false, "::ffff:169.254.1.1": false, "0.0.0.0": false, "::": false,
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
	} {
		c := "candidate:1 1 udp 2130706431 " + address + " 5000 typ host"
		if got := isAllowedTarget(c, false); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
	// ICE reads the empty text between two spaces as a priority of 0.
	if isAllowedTarget("candidate:1 1 udp  127.0.0.1 6379 typ host", false) || isAllowedTarget("candidate:", false) {
		t.Error("got an oddly written candidate allowed")
	}
	if !isAllowedTarget("candidate:1 1 udp 5 127.0.0.1 5000 typ host", true) || isAllowedTarget("candidate:1 1 udp 5 169.254.169.254 80 typ host", true) {
		t.Error("relay on loopback: want loopback and other addresses allowed")
	}
}

// No check reaches a service of this machine, whether its address is in the offer or trickled.
func TestNoChecksToTheRelaysOwnMachine(t *testing.T) {
	victim, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close() //nolint:errcheck // a test's socket
	udp, err := net.ListenUDP("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{UDP: udp, PublicIPs: []string{"192.0.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p, _ := newAnsweringPeer(t, s)
	them := newCaller(t, webrtc.NetworkTypeUDP4)
	_, port, _ := net.SplitHostPort(victim.LocalAddr().String())
	offer := them.offer(t, nil)
	candidates := []string{
		"candidate:1 1 udp 2130706431 127.0.0.1 " + port + " typ host",
		"candidate:2 1 udp  127.0.0.1 " + port + " typ host",
		"candidate:3 1 udp 2130706430 127.0.0.1%x " + port + " typ host",
	}
	for _, c := range candidates {
		offer = strings.Replace(offer, "a=setup:", "a="+c+"\r\n\ra="+c+"\r\na=setup:", 1)
	}
	if err := p.Offer(offer); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Answer(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range candidates {
		if err := p.Trickle(Fragment{Candidates: []string{c}, MIDs: []string{"0"}}); err != nil && !errors.Is(err, ErrCandidate) {
			t.Errorf("%q: got %v, want it ignored or refused", c, err)
		}
	}
	// The first checks would follow within 200 ms.
	_ = victim.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
	buf := make([]byte, 1500)
	if n, from, err := victim.ReadFrom(buf); err == nil {
		t.Errorf("got %d bytes from %v, want none", n, from)
	}
}
