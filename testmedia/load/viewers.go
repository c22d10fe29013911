package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// viewer is one viewer's connection, and when it asked.
type viewer struct {
	io.ReadCloser
	begun time.Time
	rtp   bool // a Read yields a packet
}

// crowd is a number of viewers that read and throw away.
type crowd struct {
	all   []*viewer
	bytes atomic.Uint64
	reads atomic.Uint64 // of a packet each, where the viewers are of WebRTC
	lost  atomic.Int64  // packets of RTP
	wait  sync.WaitGroup
	ended atomic.Int64

	measuring atomic.Bool
	mu        sync.Mutex // guards gaps
	gaps      []time.Duration
	joins     []time.Duration
}

// gather connects n viewers one after the other.
func (c *crowd) gather(n int, open func() (*viewer, error)) error {
	for range n {
		v, err := open()
		if err != nil {
			return fmt.Errorf("viewer %d: %w", len(c.all), err)
		}
		c.all = append(c.all, v)
		c.wait.Go(func() { c.watch(v) })
	}
	return nil
}

func (c *crowd) watch(v *viewer) {
	buf := make([]byte, 64<<10)
	var seq sequence
	last := time.Time{}
	for {
		n, err := v.Read(buf)
		if err != nil {
			c.ended.Add(1)
			return
		}
		now := time.Now()
		c.bytes.Add(uint64(n)) //nolint:gosec // not negative
		c.reads.Add(1)
		if v.rtp {
			c.lost.Add(seq.lost(buf[:n]))
		}
		if last.IsZero() {
			c.mu.Lock()
			c.joins = append(c.joins, now.Sub(v.begun))
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
	for _, v := range c.all {
		_ = v.Close()
	}
	c.wait.Wait()
	c.all = nil
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
func openFLV(addr string) (*viewer, error) {
	begun := time.Now()
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
	return &viewer{ReadCloser: c, begun: begun}, nil
}
