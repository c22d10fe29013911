package main

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is a number of viewers that read and throw away.
type crowd struct {
	conns []net.Conn
	bytes atomic.Uint64
	wait  sync.WaitGroup
	ended atomic.Int64

	measuring atomic.Bool
	mu        sync.Mutex // guards gaps
	gaps      []time.Duration
	joins     []time.Duration
}

// gather connects n viewers one after the other.
func (c *crowd) gather(n int, open func() (net.Conn, error)) error {
	for range n {
		begun := time.Now()
		conn, err := open()
		if err != nil {
			return fmt.Errorf("viewer %d: %w", len(c.conns), err)
		}
		c.conns = append(c.conns, conn)
		c.wait.Go(func() { c.watch(conn, begun) })
	}
	return nil
}

func (c *crowd) watch(conn net.Conn, begun time.Time) {
	buf := make([]byte, 64<<10)
	last := time.Time{}
	for {
		n, err := conn.Read(buf)
		if err != nil {
			c.ended.Add(1)
			return
		}
		now := time.Now()
		c.bytes.Add(uint64(n)) //nolint:gosec // not negative
		if last.IsZero() {
			c.mu.Lock()
			c.joins = append(c.joins, now.Sub(begun))
			c.mu.Unlock()
		} else if gap := now.Sub(last); c.measuring.Load() && gap > 2*time.Millisecond {
			// What is read within 2 ms was one write.
			c.mu.Lock()
			c.gaps = append(c.gaps, gap)
			c.mu.Unlock()
		}
		last = now
	}
}

// leave closes all viewers and waits for them.
func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.wait.Wait()
	c.conns = nil
	c.ended.Store(0)
}

// quantile of a list; 0 of an empty one.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return s[int(q*float64(len(s)-1))]
}

// openFLV asks for the stream over HTTP and returns the connection behind the headers.
func openFLV(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c, "GET /live/load.flv HTTP/1.1\r\nHost: %s\r\n\r\n", addr); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(c, 4096)
	status, err := r.ReadString('\n')
	if err != nil || !strings.Contains(status, " 200 ") {
		_ = c.Close()
		return nil, fmt.Errorf("%q: %w", strings.TrimSpace(status), err)
	}
	return c, nil
}
