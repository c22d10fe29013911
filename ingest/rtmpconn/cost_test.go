package rtmpconn

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// cost is what the process holds, in bytes, and how many goroutines it runs.
type cost struct{ heap, stack, goroutines int64 }

func measure() cost {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{int64(m.HeapAlloc), int64(m.StackInuse), int64(runtime.NumGoroutine())}
}

// TestConnectionCost bounds what a connection holds that has not been authenticated: with a
// handshake that stops after C1, and with a connect that nothing follows. The test's own end
// of each connection, a few hundred bytes, is part of the figures.
func TestConnectionCost(t *testing.T) {
	const connections = 400
	handshake := func(t *testing.T, nc net.Conn) {
		if _, err := nc.Write(append([]byte{3}, make([]byte, 1536)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, make([]byte, 1+2*1536)); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(t *testing.T, nc net.Conn) {
		handshake(t, nc)
		command := say(0, "connect", 1, wire.Object{{Key: "app", Value: wire.String("live")}, {Key: "tcUrl", Value: wire.String("rtmp://host/live")}})
		if _, err := nc.Write(append(make([]byte, 1536), command...)); err != nil {
			t.Fatal(err)
		}
		var reply []byte
		for buf := make([]byte, 4096); !bytes.Contains(reply, []byte("NetConnection.Connect.Success")); {
			n, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			reply = append(reply, buf[:n]...)
		}
	}
	for _, tt := range []struct {
		name       string
		do         func(*testing.T, net.Conn)
		bytes      int64
		goroutines int64
	}{
		{"C0 and C1", handshake, 24 << 10, 1},
		{"connect", connect, 24 << 10, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := serveTCP(t, Options{HandshakeTimeout: time.Minute})
			open := func(n int) {
				for range n {
					nc, err := net.Dial("tcp", addr)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = nc.Close() })
					tt.do(t, nc)
				}
			}
			open(20) // what is made once
			before := measure()
			open(connections)
			after := measure()
			heap, stack := (after.heap-before.heap)/connections, (after.stack-before.stack)/connections
			goroutines := float64(after.goroutines-before.goroutines) / connections
			t.Logf("a connection: %d bytes of heap, %d of stacks, %.2f goroutines", heap, stack, goroutines)
			if heap+stack > tt.bytes && !raceDetector {
				t.Errorf("a connection holds %d bytes, want at most %d", heap+stack, tt.bytes)
			}
			if goroutines > float64(tt.goroutines) {
				t.Errorf("a connection runs %.2f goroutines, want at most %d", goroutines, tt.goroutines)
			}
		})
	}
}
