//go:build !linux

package link

import (
	"net"
	"time"
)

// setUserTimeout does nothing: only Linux has the option. The write deadline bounds what
// a full socket can cost, the system's keepalive the rest.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
