package rtcsock

import (
	"net/netip"
	"strings"
)

// reached reports whether connectivity checks may be sent to the address of a candidate, which a
// stranger chose. Those of this machine and of its link are none that a peer elsewhere can have:
// services that trust such addresses listen there. local says that the relay itself is reached at
// this machine's addresses alone.
func reached(candidate string, local bool) bool {
	fields := strings.Fields(candidate)
	if len(fields) < 6 {
		return true // it cannot be read, which is an error of its own
	}
	addr, err := netip.ParseAddr(fields[4])
	if err != nil {
		return true
	}
	addr = addr.Unmap().WithZone("")
	switch {
	case addr.IsLoopback():
		return local
	case addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast(), addr == broadcast:
		return false
	}
	return true
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// withoutUnreachable returns a description without the candidates that are not reached.
func withoutUnreachable(description string, local bool) string {
	if !strings.Contains(description, "a=candidate:") {
		return description
	}
	var out strings.Builder
	for line := range strings.Lines(description) {
		if c, ok := strings.CutPrefix(line, "a="); ok && strings.HasPrefix(c, "candidate:") && !reached(c, local) {
			continue
		}
		out.WriteString(line)
	}
	return out.String()
}

// local reports whether all addresses of the relay's sockets are of loopback.
func (s *Sockets) local() bool {
	if s.tcp != nil && !loopback(s.o.TCP.Addr()) {
		return false
	}
	if s.udp == nil {
		return true
	}
	for _, a := range s.udp.GetListenAddresses() {
		if !loopback(a) {
			return false
		}
	}
	return len(s.o.PublicIPs) == 0
}
