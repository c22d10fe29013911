package rtmpconn

import (
	"net"
	"syscall"
	"time"
)

// tcpOf returns the TCP connection under nc, or nil.
func tcpOf(nc net.Conn) *net.TCPConn {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = t.NetConn()
	}
	tcp, _ := nc.(*net.TCPConn)
	return tcp
}

// rawOf returns the socket of the TCP connection under nc, or nil.
func rawOf(nc net.Conn) syscall.RawConn {
	tcp := tcpOf(nc)
	if tcp == nil {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// keepAlive makes the kernel detect a dead peer even if nothing is sent to it. It ignores errors,
// because a connection without these options is still usable.
func keepAlive(nc net.Conn, userTimeout time.Duration) {
	tcp := tcpOf(nc)
	if tcp == nil {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	})
	_ = SetUserTimeout(rawOf(nc), userTimeout)
}
