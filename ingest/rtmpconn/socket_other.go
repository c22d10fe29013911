//go:build !linux

package rtmpconn

import (
	"syscall"
	"time"
)

// SetUserTimeout does nothing on this system: the keepalive finds a dead peer, and the write
// deadline one that does not read.
func SetUserTimeout(syscall.RawConn, time.Duration) error { return nil }

// LimitUnsent does nothing on this system.
func LimitUnsent(syscall.RawConn, int) error { return nil }

// UnreadBytes returns 0 on this system: only what has been read is known.
func UnreadBytes(syscall.RawConn) int { return 0 }

// clampWindow does nothing on this system: a publisher that is slowed fills the kernel's
// buffer first.
func clampWindow(syscall.RawConn, int) error { return nil }
