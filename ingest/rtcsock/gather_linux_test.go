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

// kernel stands for the system: it notes what is sent, and refuses what it is told to.
type kernel struct {
	mu     sync.Mutex // guards what follows
	sends  []sent
	refuse func(packets int) error
}

// sent is one send, cut into packets.
type sent struct {
	to      int // port
	packets [][]byte
	at      time.Time
}

func (k *kernel) sendmsg(_ int, data, control []byte, to unix.Sockaddr) error {
	s := sent{at: time.Now()}
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

func (k *kernel) all() []sent {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.sends)
}

// sizes are those of the packets of each send.
func (k *kernel) sizes() (all [][]int) {
	for _, s := range k.all() {
		var of []int
		for _, p := range s.packets {
			of = append(of, len(p))
		}
		all = append(all, of)
	}
	return all
}

func peer(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// write sends packets of these sizes to the peer 1, each full of its number.
func write(t testing.TB, g *Gathered, sizes ...int) {
	t.Helper()
	p := make([]byte, 1<<16)
	for i, n := range sizes {
		for j := range n {
			p[j] = byte(i)
		}
		if wrote, err := g.WriteToAddrPort(p[:n], peer(1)); wrote != n || err != nil {
			t.Fatalf("%d, %v", wrote, err)
		}
	}
}

func many(n, size int) []int { return slices.Repeat([]int{size}, n) }

func TestWhatGoesTogether(t *testing.T) {
	for name, c := range map[string]struct {
		written []int
		at      [][]int // sent at once
		later   [][]int // after the wait
	}{
		"one":               {[]int{100}, nil, [][]int{{100}}},
		"equal ones":        {[]int{100, 100, 100}, nil, [][]int{{100, 100, 100}}},
		"a short one ends":  {[]int{100, 100, 30}, [][]int{{100, 100, 30}}, nil},
		"and others follow": {[]int{100, 30, 30, 30}, [][]int{{100, 30}}, [][]int{{30, 30}}},
		"a long one begins": {[]int{100, 100, 300, 300}, [][]int{{100, 100}}, [][]int{{300, 300}}},
		"an empty one":      {[]int{100, 0, 0, 100}, [][]int{{100}, {0}, {0}}, [][]int{{100}}},
		"no line carries":   {[]int{100, 1473, 1473}, [][]int{{100}, {1473}, {1473}}, nil},
		"many":              {many(65, 100), [][]int{many(64, 100)}, [][]int{{100}}},
		"much":              {many(64, 1200), [][]int{many(54, 1200)}, [][]int{many(10, 1200)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &kernel{}
				g := gatherWith(socket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
				defer g.Close()
				write(t, g, c.written...)
				if got := k.sizes(); fmt.Sprint(got) != fmt.Sprint(c.at) {
					t.Errorf("at once: %v", got)
				}
				time.Sleep(gatherTime)
				synctest.Wait()
				if got := k.sizes()[len(c.at):]; fmt.Sprint(got) != fmt.Sprint(c.later) {
					t.Errorf("later: %v", got)
				}
				n := 0
				for _, s := range k.all() {
					for _, p := range s.packets {
						if len(p) > 0 && (p[0] != byte(n) || p[len(p)-1] != byte(n)) {
							t.Errorf("packet %d is number %d", n, p[0])
						}
						n++
					}
				}
				if got, want := g.Sent(), (Sent{Packets: uint64(len(c.written)), Sends: uint64(len(k.all()))}); got != want {
					t.Errorf("%+v instead of %+v", got, want)
				}
				if g.waits() {
					t.Error("peers are known still")
				}
			})
		})
	}
}

func TestNothingWaitsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		g := gatherWith(socket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		defer g.Close()
		var written []time.Time
		for i := range 1000 {
			if _, err := g.WriteToAddrPort([]byte{byte(i)}, peer(1+i%7)); err != nil {
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
				if wait := s.at.Sub(written[i]); wait < 0 || wait > gatherTime {
					t.Errorf("packet %d waited %v", i, wait)
				}
				next[s.to]++
			}
		}
	})
}

func TestFlushSavesTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		g := gatherWith(socket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		defer g.Close()
		write(t, g, 100, 100)
		g.Flush()
		g.Flush()
		if got := k.sizes(); fmt.Sprint(got) != "[[100 100]]" || g.waits() {
			t.Errorf("%v", got)
		}
	})
}

func TestWhereTheSystemRefuses(t *testing.T) {
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
		"a device without checksums": {cut(unix.EIO), 3, Sent{Packets: 9, Sends: 1 + 9}, true, nil},
		"a narrow line":              {cut(unix.EINVAL), 3, Sent{Packets: 9, Sends: 3 + 9}, false, nil},
		"every line":                 {cut(unix.EINVAL), 20, Sent{Packets: 60, Sends: 16 + 60}, true, nil},
		"no room":                    {func(int) error { return unix.EAGAIN }, 1, Sent{Packets: 3, Sends: 1, Waited: 1, Refused: 3}, false, os.ErrDeadlineExceeded},
		"none in the device":         {func(int) error { return unix.ENOBUFS }, 1, Sent{Packets: 3, Sends: 1, Refused: 3}, false, nil},
		"no way there":               {func(int) error { return unix.ENETUNREACH }, 1, Sent{Packets: 3, Sends: 1, Refused: 3}, false, unix.ENETUNREACH},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &kernel{refuse: c.refuse}
				conn := socket(t, "udp4", "127.0.0.1:0")
				g := gatherWith(conn, k.sendmsg)
				defer g.Close()
				_ = g.SetWriteDeadline(time.Now().Add(-1)) // nothing is to drain
				var failed error
				to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
				for range c.rounds {
					for _, n := range []int{100, 100, 30} {
						if _, err := g.WriteToAddrPort(make([]byte, n), to); err != nil {
							failed = err
						}
					}
				}
				if got := g.Sent(); got != c.want || g.plain.Load() != c.gaveUp || !errors.Is(failed, c.failing) {
					t.Errorf("%+v, gave up: %v, %v", got, g.plain.Load(), failed)
				}
			})
		})
	}
}

func TestPeersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		g := gatherWith(socket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		defer g.Close()
		for i := range maxWaiting + 10 {
			if _, err := g.WriteToAddrPort([]byte{1}, peer(1+i)); err != nil {
				t.Fatal(err)
			}
		}
		if n := g.Sent().Sends; n != 10 {
			t.Errorf("%d packets did not wait", n)
		}
	})
}

func TestCloseSendsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		g := gatherWith(socket(t, "udp4", "127.0.0.1:0"), k.sendmsg)
		write(t, g, 100, 100)
		if err := g.Close(); err != nil || fmt.Sprint(k.sizes()) != "[[100 100]]" {
			t.Errorf("%v, %v", err, k.sizes())
		}
		if err := g.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("again: %v", err)
		}
		if _, err := g.WriteTo([]byte{1}, net.UDPAddrFromAddrPort(peer(1))); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if _, err := g.WriteTo([]byte{1}, &net.TCPAddr{}); err == nil {
			t.Error("an address of TCP")
		}
	})
}
