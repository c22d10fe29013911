package link

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmp"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// admission is an ingest.Access that keeps what comes.
type admission struct {
	refuse  error
	request ingest.Request
	packets []*packetbuf.Packet
	ended   chan ingest.Cause
}

func (a *admission) Publish(_ context.Context, r ingest.Request) (ingest.Sink, error) {
	a.request = r
	if a.refuse != nil {
		return nil, a.refuse
	}
	return a, nil
}

func (a *admission) Write(p *packetbuf.Packet) error {
	a.packets = append(a.packets, p)
	return nil
}

func (a *admission) End(cause ingest.Cause, _ string) { a.ended <- cause }

const serverAddr = "far:1935"

// relay runs our own listener at far:1935 of a network in memory, until the test ends.
func relay(t *testing.T, n *faultnet.Network) *admission {
	t.Helper()
	l, err := n.Listen(serverAddr)
	if err != nil {
		t.Fatal(err)
	}
	a := &admission{ended: make(chan ingest.Cause, 1)}
	serve(t, a, l)
	return a
}

func serve(t *testing.T, a *admission, l net.Listener) {
	t.Helper()
	s, err := rtmp.New(rtmp.Options{Access: a})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
}

func dial(t *testing.T, n *faultnet.Network) (*Push, error) {
	t.Helper()
	return Dial(t.Context(), Options{URL: "rtmp://far/live/cam?key=hush", Dialer: n.DialContext})
}

// write pushes the clip's first packets, and returns how many bytes of payload they had.
func write(t *testing.T, p *Push, packets int) []*packetbuf.Packet {
	t.Helper()
	var out []*packetbuf.Packet
	for loop := testmedia.NewLoop(0); len(out) < packets; {
		pkt := loop.Next()
		if err := p.Write(pkt); err != nil {
			t.Fatal(err)
		}
		out = append(out, pkt)
	}
	return out
}

func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		if r := a.request; r.App != "live" || r.Name != "cam" || r.Key != "hush" || r.Agent != agent {
			t.Errorf("%+v", r)
		}
		sent := write(t, p, 500)
		synctest.Wait()
		if err := p.Err(); err != nil {
			t.Error(err)
		}
		if len(a.packets) != len(sent) {
			t.Fatalf("%d packets arrived of %d", len(a.packets), len(sent))
		}
		for i, got := range a.packets {
			want := sent[i]
			if got.Track != want.Track || got.Codec != want.Codec || got.DTS != want.DTS || got.CTO != want.CTO ||
				got.Kind == packetbuf.Config != (want.Kind == packetbuf.Config) || !bytes.Equal(got.Payload, want.Payload) {
				t.Fatalf("packet %d: %+v, want %+v", i, got, want)
			}
		}
		if owed := p.Sent() - p.Acked(); p.Acked() == 0 || owed > 2*ackWindow {
			t.Errorf("%d of %d bytes acknowledged", p.Acked(), p.Sent())
		}
		if err := p.Unpublish(); err != nil {
			t.Error(err)
		}
		if cause := <-a.ended; cause != ingest.Unpublish {
			t.Error("ended by", cause)
		}
		if !errors.Is(p.Err(), ErrClosed) || !errors.Is(p.Write(sent[0]), ErrClosed) {
			t.Error(p.Err())
		}
		if err := errors.Join(p.Unpublish(), p.Close()); err != nil {
			t.Error("a second end:", err)
		}
	})
}

// What stands beside a configuration comes behind it, and is beside it again at the server.
func TestPushDescription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		config := &packetbuf.Packet{
			Track: packetbuf.Audio, Codec: packetbuf.Opus, Kind: packetbuf.Config,
			Payload: []byte("OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"), Beside: []byte{1, 2, 0, 0, 0, 3},
		}
		if err := p.Write(config); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(a.packets) != 2 || a.packets[0].Beside != nil || !a.packets[1].SameConfig(config) {
			t.Errorf("%+v", a.packets)
		}
		if err := p.Unpublish(); err != nil {
			t.Error(err)
		}
		<-a.ended
	})
}

func TestCloseWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		write(t, p, 10)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if cause := <-a.ended; cause != ingest.EOF {
			t.Error("ended by", cause)
		}
	})
}

// TestStuckWrite hangs the line: a write that finds no room ends within its time.
func TestStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		n.Wire(0).Do(faultnet.Hang, faultnet.Both)
		begun := time.Now()
		for loop := testmedia.NewLoop(0); err == nil; {
			err = p.Write(loop.Next())
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		n.Wire(0).Do(faultnet.Reset, faultnet.Both)
		<-a.ended
	})
}

// TestLastMessages has the server end a push in words while this side writes.
func TestLastMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the bubble's time
		a.request.Session.Close(ingest.Takeover, "another push took the stream")
		for loop := testmedia.NewLoop(0); err == nil; {
			err = p.Write(loop.Next())
			time.Sleep(10 * time.Millisecond) // the bubble's time
		}
		var r *Rejection
		if !errors.As(err, &r) || r.Code != "NetStream.Publish.BadName" || r.Description != "another push took the stream" {
			t.Error(err)
		}
	})
}

func TestWritePacketsThatDoNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		err = p.Write(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Payload: make([]byte, wire.MaxPayload)})
		if !errors.Is(err, ErrTooLong) {
			t.Error(err)
		}
		if err := p.Write(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.H264, Payload: []byte{1}}); err == nil {
			t.Error("audio in H.264 was taken")
		}
		if p.Err() != nil || p.Sent() != 0 {
			t.Error("they ended the push:", p.Err())
		}
		_ = p.Close()
		<-a.ended
	})
}

// TestPings has our listener measure the way here and back, while nothing is written.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(func(int) faultnet.Options {
			return faultnet.Options{Up: faultnet.Shape{Delay: 20 * time.Millisecond}, Down: faultnet.Shape{Delay: 30 * time.Millisecond}}
		})
		a := relay(t, n)
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second) // the bubble's time: two pings of our listener
		if p.Err() != nil {
			t.Fatal(p.Err())
		}
		if srtt, _ := a.request.Session.RTT(); srtt != 50*time.Millisecond {
			t.Error("round trip", srtt)
		}
		_ = p.Close()
		<-a.ended
	})
}

// TestAcknowledgedCommands has a server that acknowledges the commands one by one, and of media
// as much at a time as it was asked to: a stream of 200 kb/s takes five seconds to that.
func TestAcknowledgedCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		l, err := n.Listen(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var taking sync.WaitGroup
		taking.Go(func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			buf, got := make([]byte, 64<<10), 0
			for _, piece := range [][]byte{s0s1s2, connected(), slices.Concat(created(1), published())} {
				n, _ := conn.Read(buf)
				got += n
				_, _ = conn.Write(wire.AppendAck(piece, uint32(got)))
			}
			n, _ := conn.Read(buf) // media: now something is said that has the push look
			got += n
			_, _ = conn.Write(wire.AppendUserControl(nil, wire.EventPingRequest, 1))
			for told := got; ; {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if got += n; got-told >= ackWindow {
					told = got
					_, _ = conn.Write(wire.AppendAck(nil, uint32(got)))
				}
			}
		})
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, pkt := range numbered(1000)[:300] {
			pkt.Payload = make([]byte, 1000)
			if err := p.Write(pkt); err != nil {
				t.Fatal(err)
			}
			if p.Stalled(time.Now(), 2500*time.Millisecond) {
				t.Errorf("stalled: %+v", p.Progress(time.Now()))
				break
			}
			time.Sleep(40 * time.Millisecond) // the bubble's time
		}
		_ = p.Close()
		taking.Wait()
	})
}

// TestWriteAfterTheEnd has another goroutine write while a push is being ended: the server
// still has its last words to take, and gets nothing after them.
func TestWriteAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, [][]byte{s0s1s2, connected(), slices.Concat(created(1), published())})
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		n.Wire(0).Do(faultnet.Hang, faultnet.Both)
		var leaving sync.WaitGroup
		leaving.Go(func() { _ = p.Unpublish() })
		synctest.Wait() // it waits for the server to close
		if err := p.Write(numbered(1)...); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if p.Sent() != 0 {
			t.Errorf("%d bytes of media were sent after the end", p.Sent())
		}
		leaving.Wait()
		n.Wire(0).Do(faultnet.Reset, faultnet.Both)
		<-ended
	})
}

// TestIdlePushSendsHeartbeats has a push that nothing is sent on, to a server that does not ping:
// a box between forgets what is silent for 30 s, and a line that died is to be noticed before
// there is something to send.
func TestIdlePushSendsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, [][]byte{s0s1s2, connected(), slices.Concat(created(1), published())})
		p, err := dial(t, n)
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Write() // what was left of the commands
		for range 4 {
			before := p.socket.sent.Load()
			time.Sleep(heartbeat + time.Second) // the bubble's time
			if after := p.socket.sent.Load(); after == before || after > before+16 {
				t.Errorf("%d bytes were said meanwhile", after-before)
			}
		}
		if p.Sent() != 0 || p.Err() != nil {
			t.Errorf("%d bytes of media, %v", p.Sent(), p.Err())
		}
		_ = p.Close()
		<-ended
	})
}
