package egress

import "net"

// RawConn returns the innermost connection of conn, for example the TCP connection under TLS.
func RawConn(conn net.Conn) net.Conn {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = outer.NetConn()
	}
}

// maxLogName is the maximum length in bytes of a stream name in the log: clients choose these
// names.
const maxLogName = 160

// LogName returns a stream name for logs, truncated to its maximum length.
func LogName(stream string) string { return stream[:min(len(stream), maxLogName)] }
