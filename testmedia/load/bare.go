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

// bare is the program to compare with: a goroutine per socket, woken every gather, that
// writes what has come since in one writev. It has no life, no ring, no policy.
func bare(ctx context.Context, addr string, gather time.Duration) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	b := &batches{next: make(chan struct{})}
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

// batches hands what has gathered to everybody who waits.
type batches struct {
	mu   sync.RWMutex // guards tags and next
	tags [][]byte
	next chan struct{} // closed when tags is there
}

// produce makes the stream that the relay is sent, in real time.
func (b *batches) produce(ctx context.Context, gather time.Duration) {
	g := gen.New(sourceFor("httpflv"))
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

func (b *batches) serve(c net.Conn) {
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
