package rtcsock

import (
	"net/netip"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
)

// reached reports whether connectivity checks may be sent to the address of a candidate, which a
// stranger chose. Loopback and link-local addresses are none that a peer elsewhere can have: services
// that trust such addresses listen there. local says that the relay itself is reached at loopback
// addresses alone. The candidate is read as ICE reads it; one that cannot be read is not reached.
func reached(candidate string, local bool) bool {
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(candidate, "candidate:"))
	if err != nil {
		return false
	}
	address, _, _ := strings.Cut(c.Address(), "%") // without its zone
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false // a name
	}
	addr = addr.Unmap()
	switch {
	case addr.IsLoopback():
		return local
	case addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast(), addr == broadcast:
		return false
	}
	return true
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// withoutUnreachable returns a description without the candidates that are not reached. It is parsed
// and written anew: what is judged is what ICE is given.
func withoutUnreachable(description string, local bool) (string, error) {
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(description); err != nil {
		return "", err
	}
	d.Attributes = onlyReached(d.Attributes, local)
	for _, m := range d.MediaDescriptions {
		m.Attributes = onlyReached(m.Attributes, local)
	}
	out, err := d.Marshal()
	return string(out), err
}

func onlyReached(attributes []sdp.Attribute, local bool) []sdp.Attribute {
	kept := attributes[:0]
	for _, a := range attributes {
		if strings.TrimSpace(a.Key) != "candidate" || reached(a.Value, local) {
			kept = append(kept, a)
		}
	}
	return kept
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
