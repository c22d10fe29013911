package egress

import "net"

// RawConn returns the connection under those that wrap it, such as TLS or the counting of connections.
func RawConn(conn net.Conn) net.Conn {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = outer.NetConn()
	}
}

// maxLogName bounds what a stranger can have logged as the name of a stream, in bytes.
const maxLogName = 160

// LogName returns the name of a stream as it is logged.
func LogName(stream string) string { return stream[:min(len(stream), maxLogName)] }
