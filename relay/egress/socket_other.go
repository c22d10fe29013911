//go:build !linux

package egress

import "net"

// LimitUnsent does nothing on this system, which has no portable limit on unsent bytes. A slow
// viewer is detected later than on Linux.
func LimitUnsent(net.Conn) {}
