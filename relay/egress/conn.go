package egress

import "net"

// RawConn unwraps conn, such as from TLS or from the counting of connections.
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

// LogName returns the stream name as it is logged, cut to its maximum length.
func LogName(stream string) string { return stream[:min(len(stream), maxLogName)] }
