package rtcsock

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Packets of all sizes, from several concurrent writers, arrive complete and in order over each
// kind of socket.
func TestGatheredArrives(t *testing.T) {
	for name, c := range map[string]struct{ network, from, to string }{
		"IPv4":      {"udp4", "127.0.0.1:0", "127.0.0.1:0"},
		"IPv6":      {"udp6", "[::1]:0", "[::1]:0"},
		"wildcard":  {"udp", ":0", "127.0.0.1:0"},
		"and of v6": {"udp", ":0", "[::1]:0"},
	} {
		t.Run(name, func(t *testing.T) {
			g := gather(newSocket(t, c.network, c.from))
			defer g.Close()
			var wg sync.WaitGroup
			for range 4 {
				far := newSocket(t, "udp", c.to)
				to := far.LocalAddr().(*net.UDPAddr).AddrPort()
				seed := rand.Uint64()
				const packets = 400
				size := func(r *rand.Rand) int {
					if r.IntN(3) == 0 {
						return 4 + r.IntN(1400)
					}
					return 1200
				}
				wg.Go(func() {
					r, p := rand.New(rand.NewPCG(seed, 0)), make([]byte, 2000)
					for i := range packets {
						n := size(r)
						binary.BigEndian.PutUint32(p, uint32(i))
						if _, err := g.WriteToAddrPort(p[:n], to); err != nil {
							t.Error(err)
						}
					}
				})
				wg.Go(func() {
					r, p := rand.New(rand.NewPCG(seed, 0)), make([]byte, 2000)
					_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
					for i := range packets {
						n, _, err := far.ReadFromUDPAddrPort(p)
						if want := size(r); err != nil || n != want || int(binary.BigEndian.Uint32(p)) != i {
							t.Errorf("packet %d: got number %d, %d bytes, want %d, %v", i, binary.BigEndian.Uint32(p), n, want, err)
							return
						}
					}
				})
			}
			wg.Wait()
			s := g.Sent()
			t.Logf("%+v", s)
			if s.Refused > 0 || !g.splitWorked.Load() || s.Sends >= s.Packets {
				t.Errorf("got %+v", s)
			}
		})
	}
}

// The packets of one writer stay in order while others call Flush.
func TestOrderUnderFlush(t *testing.T) {
	k := &fakeKernel{}
	g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
	var writers, flushers sync.WaitGroup
	over := make(chan struct{})
	for range 2 {
		flushers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					g.Flush()
				}
			}
		})
	}
	const each = 3000
	for n := range 8 {
		writers.Go(func() {
			p := make([]byte, 4)
			for i := range each {
				binary.BigEndian.PutUint32(p, uint32(i))
				if _, err := g.WriteToAddrPort(p, peerAddr(1+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(over)
	flushers.Wait()
	_ = g.Close()
	next := map[int]uint32{}
	for _, s := range k.all() {
		for _, p := range s.packets {
			if got := binary.BigEndian.Uint32(p); got != next[s.to] {
				t.Fatalf("peer %d: got %d, want %d", s.to, got, next[s.to])
			}
			next[s.to]++
		}
	}
	for n := range 8 {
		if next[1+n] != each {
			t.Errorf("peer %d: got %d packets", n, next[1+n])
		}
	}
}

func TestReadsPassThrough(t *testing.T) {
	g := gather(newSocket(t, "udp4", "127.0.0.1:0"))
	defer g.Close()
	to := g.LocalAddr().(*net.UDPAddr).AddrPort()
	for range 2 {
		if _, err := g.WriteTo([]byte("hello"), g.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 100)
	if n, from, err := g.ReadFrom(b); !bytes.Equal(b[:n], []byte("hello")) || from.String() != to.String() || err != nil {
		t.Errorf("got %q from %v, %v", b[:n], from, err)
	}
	if n, from, err := g.ReadFromAddrPort(b); !bytes.Equal(b[:n], []byte("hello")) || from != to || err != nil {
		t.Errorf("got %q from %v, %v", b[:n], from, err)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	k := func(int, []byte, []byte, unix.Sockaddr) error { return nil }
	g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k)
	defer g.Close()
	p := make([]byte, 1200)
	n := testing.AllocsPerRun(2000, func() { _, _ = g.WriteToAddrPort(p, peerAddr(1)) })
	if n >= 1 {
		t.Errorf("got %v allocations, want none", n)
	}
}
