package rtmp

import (
	"net"
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

// tune makes the kernel notice a dead peer. An error is no reason to refuse one.
func tune(tcp *net.TCPConn, userTimeout time.Duration) {
	if tcp == nil {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3,
	})
	_ = setUserTimeout(tcp, userTimeout)
}
