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

// viewer is the connection of one viewer, and the time of its request.
type viewer struct {
	io.ReadCloser
	begun time.Time
	rtp   bool // each Read returns one packet
}

// crowd is a group of viewers that read and discard.
type crowd struct {
	all     []*viewer
	bytes   atomic.Uint64
	reads   atomic.Uint64 // one RTP packet each, for viewers of WebRTC
	missing atomic.Int64  // lost RTP packets
	wait    sync.WaitGroup
	ended   atomic.Int64

	measuring atomic.Bool
	mu        sync.Mutex // guards gaps
	gaps      []time.Duration
	joins     []time.Duration
}

// join connects n viewers one after the other.
func (c *crowd) join(n int, open func() (*viewer, error)) error {
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
	var seq sequenceTracker
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
			c.missing.Add(seq.missing(buf[:n]))
		}
		if last.IsZero() {
			c.mu.Lock()
			c.joins = append(c.joins, now.Sub(v.begun))
			c.mu.Unlock()
		} else if gap := now.Sub(last); c.measuring.Load() && gap > 2*time.Millisecond {
			// Reads within 2 ms are counted as one write.
			c.mu.Lock()
			c.gaps = append(c.gaps, gap)
			c.mu.Unlock()
		}
		last = now
	}
}

// closeAll closes all viewers and waits for them.
func (c *crowd) closeAll() {
	for _, v := range c.all {
		_ = v.Close()
	}
	c.wait.Wait()
	c.all = nil
	c.ended.Store(0)
}

// quantile returns a quantile of a list, or 0 if it is empty.
func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	return s[int(q*float64(len(s)-1))]
}

// openFLV plays the stream over HTTP-FLV. It returns the connection after the response header.
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
		return nil, fmt.Errorf("response %q: %w", strings.TrimSpace(status), err)
	}
	return &viewer{ReadCloser: c, begun: begun}, nil
}
