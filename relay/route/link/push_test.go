package link

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
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

const farAddr = "far:1935"

// relay runs our own listener at far:1935 of a network in memory, until the test ends.
func relay(t *testing.T, n *faultnet.Network) *admission {
	t.Helper()
	l, err := n.Listen(farAddr)
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

// TestLastWords has the far side end a push in words while this side writes.
func TestLastWords(t *testing.T) {
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
