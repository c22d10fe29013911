package rtcsock

import (
	"net/netip"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
)

// isAllowedTarget reports whether connectivity checks may be sent to the address of a candidate,
// which an untrusted peer chooses. Link-local addresses are not allowed, and loopback addresses
// only if local is set: a remote peer cannot have them, and services that trust them may listen
// there. local says that the relay itself has only loopback addresses. The candidate is parsed as
// ICE parses it; a malformed one is not allowed.
func isAllowedTarget(candidate string, local bool) bool {
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(candidate, "candidate:"))
	if err != nil {
		return false
	}
	address, _, _ := strings.Cut(c.Address(), "%") // without its zone
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return false // a host name
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

// withoutDisallowedCandidates returns a session description without the candidates that
// isAllowedTarget rejects. It parses and rewrites the description, so that ICE gets exactly what
// was checked.
func withoutDisallowedCandidates(description string, local bool) (string, error) {
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(description); err != nil {
		return "", err
	}
	d.Attributes = allowedCandidates(d.Attributes, local)
	for _, m := range d.MediaDescriptions {
		m.Attributes = allowedCandidates(m.Attributes, local)
	}
	out, err := d.Marshal()
	return string(out), err
}

func allowedCandidates(attributes []sdp.Attribute, local bool) []sdp.Attribute {
	kept := attributes[:0]
	for _, a := range attributes {
		if strings.TrimSpace(a.Key) != "candidate" || isAllowedTarget(a.Value, local) {
			kept = append(kept, a)
		}
	}
	return kept
}

// loopbackOnly reports whether all addresses of the relay's sockets are loopback addresses.
func (s *Sockets) loopbackOnly() bool {
	if s.tcp != nil && !loopback(s.options.TCP.Addr()) {
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
	return len(s.options.PublicIPs) == 0
}
