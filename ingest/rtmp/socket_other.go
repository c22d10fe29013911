//go:build !linux

package rtmp

import (
	"net"
	"time"
)

// Elsewhere the keepalive alone finds a dead peer, and the write deadline a stalled one.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }

func setNotSentLowWater(*net.TCPConn, int) error { return nil }

// Elsewhere only what has been read is known.
func unreadBytes(*net.TCPConn) int { return 0 }

// Elsewhere a slowed publisher fills our kernel's buffer first.
func clampWindow(*net.TCPConn, int) error { return nil }
