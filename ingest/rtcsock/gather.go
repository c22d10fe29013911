package rtcsock

import "net"

func gather(c *net.UDPConn) net.PacketConn { return c }
