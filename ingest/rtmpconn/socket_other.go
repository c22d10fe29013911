//go:build !linux

package rtmpconn

import (
	"syscall"
	"time"
)

// SetUserTimeout does nothing on this system. Keepalive detects a dead peer, and the write deadline
// a peer that does not read.
func SetUserTimeout(syscall.RawConn, time.Duration) error { return nil }

// LimitUnsent does nothing on this system.
func LimitUnsent(syscall.RawConn, int) error { return nil }

// UnreadBytes returns 0 on this system, where the number of unread bytes is unknown.
func UnreadBytes(syscall.RawConn) int { return 0 }

// clampWindow does nothing on this system. The kernel's buffer fills up before slowing affects a
// publisher.
func clampWindow(syscall.RawConn, int) error { return nil }
