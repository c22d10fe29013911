package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// runBare is the reference program. It has one goroutine per socket, which wakes once per gather and
// writes the packets since then in one writev. It has no stream states, no ring and no policy.
func runBare(ctx context.Context, addr string, gather time.Duration) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	b := &broadcaster{next: make(chan struct{})}
	go b.produce(ctx, gather)
	context.AfterFunc(ctx, func() { _ = l.Close() })
	for {
		c, err := l.Accept()
		if err != nil {
			return nil //nolint:nilerr // closed
		}
		go b.serve(c)
	}
}

// broadcaster passes each batch of packets to all waiting goroutines.
type broadcaster struct {
	mu   sync.RWMutex // guards tags and next
	tags [][]byte
	next chan struct{} // closed when the next batch is ready
}

// produce generates the stream that is also pushed to the relay, in real time.
func (b *broadcaster) produce(ctx context.Context, gather time.Duration) {
	g := gen.New(sourceOptions("httpflv"))
	begun := time.Now()
	p := g.Next()
	tick := time.NewTicker(gather)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var tags [][]byte
		for ; p.DTS <= time.Since(begun); p = g.Next() {
			tags = append(tags, p.Serialized(packetbuf.FLVTag, flv.Tag))
		}
		b.mu.Lock()
		b.tags = tags
		close(b.next)
		b.next = make(chan struct{})
		b.mu.Unlock()
	}
}

func (b *broadcaster) serve(c net.Conn) {
	defer c.Close()
	var store [64][]byte
	b.mu.RLock()
	next := b.next
	b.mu.RUnlock()
	for {
		<-next
		b.mu.RLock()
		bufs := net.Buffers(append(store[:0], b.tags...))
		next = b.next
		b.mu.RUnlock()
		if _, err := bufs.WriteTo(c); err != nil {
			return
		}
	}
}
