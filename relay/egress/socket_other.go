//go:build !linux

package egress

import "net"

// LimitUnsent does nothing here: how much the system holds unsent cannot be bounded in a
// portable way, so a slow viewer is noticed later than on Linux.
func LimitUnsent(net.Conn) {}
