package rtcsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// fakeKernel replaces the system: it records what is sent, and fails as configured.
type fakeKernel struct {
	mu     sync.Mutex // guards the fields below
	sends  []splitSend
	refuse func(packets int) error
}

// splitSend is one send, split into packets.
type splitSend struct {
	to      int // port
	packets [][]byte
	at      time.Time
}

func (k *fakeKernel) sendmsg(_ int, data, control []byte, to unix.Sockaddr) error {
	s := splitSend{at: time.Now()}
	switch a := to.(type) {
	case *unix.SockaddrInet4:
		s.to = a.Port
	case *unix.SockaddrInet6:
		s.to = a.Port
	}
	data = slices.Clone(data)
	s.packets = [][]byte{data}
	if control != nil {
		size := int(binary.NativeEndian.Uint16(control[unix.CmsgLen(0):]))
		s.packets = slices.Collect(slices.Chunk(data, size))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		if err := k.refuse(len(s.packets)); err != nil {
			return err
		}
	}
	k.sends = append(k.sends, s)
	return nil
}

func (k *fakeKernel) all() []splitSend {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.sends)
}

// sizes returns the packet sizes of each send.
func (k *fakeKernel) sizes() (all [][]int) {
	for _, s := range k.all() {
		var of []int
		for _, p := range s.packets {
			of = append(of, len(p))
		}
		all = append(all, of)
	}
	return all
}

func peerAddr(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// writeSizes sends packets of these sizes to peer 1, each filled with its number.
func writeSizes(t testing.TB, g *Gathered, sizes ...int) {
	t.Helper()
	p := make([]byte, 1<<16)
	for i, n := range sizes {
		for j := range n {
			p[j] = byte(i)
		}
		if wrote, err := g.WriteToAddrPort(p[:n], peerAddr(1)); wrote != n || err != nil {
			t.Fatalf("write: got %d, %v", wrote, err)
		}
	}
}

func repeatSize(n, size int) []int { return slices.Repeat([]int{size}, n) }

func TestBatches(t *testing.T) {
	for name, c := range map[string]struct {
		written []int
		at      [][]int // sent at once
		later   [][]int // after the wait
	}{
		"one":                       {[]int{100}, nil, [][]int{{100}}},
		"equal ones":                {[]int{100, 100, 100}, nil, [][]int{{100, 100, 100}}},
		"a short one ends":          {[]int{100, 100, 30}, [][]int{{100, 100, 30}}, nil},
		"others follow a short one": {[]int{100, 30, 30, 30}, [][]int{{100, 30}}, [][]int{{30, 30}}},
		"a long one begins":         {[]int{100, 100, 300, 300}, [][]int{{100, 100}}, [][]int{{300, 300}}},
		"an empty one":              {[]int{100, 0, 0, 100}, [][]int{{100}, {0}, {0}}, [][]int{{100}}},
		"above any MTU":             {[]int{100, 1473, 1473}, [][]int{{100}, {1473}, {1473}}, nil},
		"many":                      {repeatSize(65, 100), [][]int{repeatSize(64, 100)}, [][]int{{100}}},
		"many large ones":           {repeatSize(64, 1200), [][]int{repeatSize(54, 1200)}, [][]int{repeatSize(10, 1200)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKernel{}
				g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
				defer g.Close()
				writeSizes(t, g, c.written...)
				if got := k.sizes(); fmt.Sprint(got) != fmt.Sprint(c.at) {
					t.Errorf("at once: got %v", got)
				}
				time.Sleep(maxGatherTime)
				synctest.Wait()
				if got := k.sizes()[len(c.at):]; fmt.Sprint(got) != fmt.Sprint(c.later) {
					t.Errorf("later: got %v", got)
				}
				n := 0
				for _, s := range k.all() {
					for _, p := range s.packets {
						if len(p) > 0 && (p[0] != byte(n) || p[len(p)-1] != byte(n)) {
							t.Errorf("packet %d: got number %d", n, p[0])
						}
						n++
					}
				}
				if got, want := g.Sent(), (Sent{Packets: uint64(len(c.written)), Sends: uint64(len(k.all()))}); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if g.hasWaiting() {
					t.Error("got peers in the table after Flush, want none")
				}
			})
		})
	}
}

func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{}
		g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		defer g.Close()
		var written []time.Time
		for i := range 1000 {
			if _, err := g.WriteToAddrPort([]byte{byte(i)}, peerAddr(1+i%7)); err != nil {
				t.Fatal(err)
			}
			written = append(written, time.Now())
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		time.Sleep(time.Hour)
		next := map[int]int{}
		for _, s := range k.all() {
			for range s.packets {
				i := next[s.to]*7 + s.to - 1
				if wait := s.at.Sub(written[i]); wait < 0 || wait > maxGatherTime {
					t.Errorf("packet %d: got a wait of %v", i, wait)
				}
				next[s.to]++
			}
		}
	})
}

func TestFlushSavesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{}
		g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		defer g.Close()
		writeSizes(t, g, 100, 100)
		g.Flush()
		g.Flush()
		if got := k.sizes(); fmt.Sprint(got) != "[[100 100]]" || g.hasWaiting() {
			t.Errorf("%v", got)
		}
	})
}

func TestSendErrors(t *testing.T) {
	cut := func(err error) func(int) error {
		return func(packets int) error {
			if packets > 1 {
				return err
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		refuse  func(int) error
		rounds  int // of three packets
		want    Sent
		gaveUp  bool
		failing error
	}{
		"a device without checksums":   {cut(unix.EIO), 3, Sent{Packets: 9, Sends: 1 + 9}, true, nil},
		"a small path MTU of one peer": {cut(unix.EINVAL), 3, Sent{Packets: 9, Sends: 3 + 9}, false, nil},
		"a failure for every peer":     {cut(unix.EINVAL), 20, Sent{Packets: 60, Sends: 16 + 60}, true, nil},
		"full socket buffer":           {func(int) error { return unix.EAGAIN }, 1, Sent{Packets: 3, Sends: 1, Waited: 1, Refused: 3}, false, os.ErrDeadlineExceeded},
		"full device queue":            {func(int) error { return unix.ENOBUFS }, 1, Sent{Packets: 3, Sends: 1, Refused: 3}, false, nil},
		"no route":                     {func(int) error { return unix.ENETUNREACH }, 1, Sent{Packets: 3, Sends: 1, Refused: 3}, false, unix.ENETUNREACH},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKernel{refuse: c.refuse}
				conn := newSocket(t, "udp4", "127.0.0.1:0")
				g := gatherWith(conn, k.sendmsg)
				defer g.Close()
				_ = g.SetWriteDeadline(time.Now().Add(-1)) // the buffer is not going to drain
				var failed error
				to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
				for range c.rounds {
					for _, n := range []int{100, 100, 30} {
						if _, err := g.WriteToAddrPort(make([]byte, n), to); err != nil {
							failed = err
						}
					}
				}
				if got := g.Sent(); got != c.want || g.splitDisabled.Load() != c.gaveUp || !errors.Is(failed, c.failing) {
					t.Errorf("got %+v, split disabled: %v, %v", got, g.splitDisabled.Load(), failed)
				}
			})
		})
	}
}

func TestPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{}
		g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		defer g.Close()
		for i := range maxWaitingPeers + 10 {
			if _, err := g.WriteToAddrPort([]byte{1}, peerAddr(1+i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := g.Sent().Sends; n != 10 {
			t.Errorf("got %d packets sent at once", n)
		}
	})
}

func TestCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{}
		g := gatherWith(newSocket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		writeSizes(t, g, 100, 100)
		if err := g.Close(); err != nil || fmt.Sprint(k.sizes()) != "[[100 100]]" {
			t.Errorf("Close: got %v, sizes %v", err, k.sizes())
		}
		if err := g.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: got %v", err)
		}
		if _, err := g.WriteTo([]byte{1}, net.UDPAddrFromAddrPort(peerAddr(1))); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: got %v", err)
		}
		if _, err := g.WriteTo([]byte{1}, &net.TCPAddr{}); err == nil {
			t.Error("TCP address: got no error")
		}
	})
}
