package rtmpconn

import (
	"bufio"
	"context"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// say returns a command message.
func say(stream uint32, name string, transaction float64, args ...wire.Value) []byte {
	return rtmptest.CommandMessage(stream, wire.AppendCommand(nil, wire.Command{Name: name, Transaction: transaction, Args: args}))
}

// playHello is all that a player sends up to play, in one piece.
func playHello() []byte {
	hello := append([]byte{3}, make([]byte, 2*1536)...)
	hello = append(hello, say(0, "connect", 1, wire.Object{{Key: "app", Value: wire.String("live")}})...)
	hello = append(hello, say(0, "createStream", 2, wire.Null{})...)
	return append(hello, say(1, "play", 3, wire.Null{}, wire.String("cam"))...)
}

// resident is the process's resident memory in bytes; 0 where it cannot be told.
func resident() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // read only
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}

// TestViewerCost measures what a player that is being served holds in memory: the budget
// for all of a viewer is 40 KiB, and the egress needs its part.
func TestViewerCost(t *testing.T) {
	const viewers = 300
	began := make(chan *Player, viewers)
	_, addr := serveTCP(t, Options{OnPlay: func(ctx context.Context, _ PlayRequest, c *Player) error {
		if err := c.Start(); err != nil {
			return err
		}
		began <- c
		<-ctx.Done()
		return ctx.Err()
	}})
	hello := playHello()
	join := func(n int) (conns []*Player) {
		for range n {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = nc.Close() })
			if _, err := nc.Write(hello); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, wait(t, "play", began))
		}
		return conns
	}
	join(20) // what is made once
	debug.FreeOSMemory()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rss := resident()
	conns := join(viewers)
	frame := frameMessage(conns[0], 0, make([]byte, 10<<10))
	for _, c := range conns {
		bufs := net.Buffers{frame[:100], frame[100:]}
		if err := c.Write(&bufs); err != nil {
			t.Fatal(err)
		}
	}
	grown := (resident() - rss) / viewers
	debug.FreeOSMemory()
	runtime.ReadMemStats(&after)
	heap := int64(after.HeapAlloc-before.HeapAlloc) / viewers
	stack := int64(after.StackInuse-before.StackInuse) / viewers
	t.Logf("a viewer: %d bytes of heap, %d of stacks; resident %d at once, %d after a collection",
		heap, stack, grown, (resident()-rss)/viewers)
	if heap+stack > 20<<10 && !raceDetector {
		t.Errorf("%d bytes held for a viewer", heap+stack)
	}
}
