package route

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
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

func TestPublishRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		a := relay(t, n)
		a.refuse = &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "the publish key is wrong"}
		_, err := dial(t, n)
		var r *Rejection
		if !errors.As(err, &r) || r.Code != "NetStream.Publish.Denied" || Retry(err) {
			t.Fatal(err)
		}
		if want := "push to rtmp://far/live: publish: rejected: NetStream.Publish.Denied: the publish key is wrong"; err.Error() != want {
			t.Errorf("%q", err)
		}
	})
}

// TestSilentFar meets a far side that stops answering in each of the phases.
func TestSilentFar(t *testing.T) {
	s0s1s2 := append([]byte{3}, make([]byte, 2*1536)...)
	tests := []struct {
		phase  Phase
		answer [][]byte // after each of which it reads again
		after  time.Duration
	}{
		{PhaseHandshake, nil, 5 * time.Second},
		{PhaseHandshake, [][]byte{s0s1s2[:2000]}, 5 * time.Second},
		{PhaseConnect, [][]byte{s0s1s2}, 5 * time.Second},
		{PhasePublish, [][]byte{s0s1s2, connected()}, 5 * time.Second},
		{PhasePublish, [][]byte{s0s1s2, connected(), created(1)}, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(string(tt.phase), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := faultnet.NewNetwork(nil)
				ended := script(t, n, tt.answer)
				begun := time.Now()
				_, err := dial(t, n)
				var phase *PhaseError
				if !errors.As(err, &phase) || phase.Phase != tt.phase || !errors.Is(err, context.DeadlineExceeded) || !Retry(err) {
					t.Error(err)
				}
				if took := time.Since(begun); took != tt.after {
					t.Errorf("it took %v, want %v", took, tt.after)
				}
				<-ended
			})
		})
	}
}

// script answers one connection: it says each piece once something has come, and then
// reads to the end.
func script(t *testing.T, n *faultnet.Network, pieces [][]byte) (ended chan struct{}) {
	t.Helper()
	l, err := n.Listen(farAddr)
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 64<<10)
		for _, piece := range pieces {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			if piece == nil {
				return
			}
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, conn)
	}()
	return ended
}

func TestDialTimesOutInTheDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		n.SetDark(true)
		begun := time.Now()
		_, err := dial(t, n)
		var phase *PhaseError
		if !errors.As(err, &phase) || phase.Phase != PhaseDial || !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 5*time.Second {
			t.Error(err, time.Since(begun))
		}
		n.SetDark(false)
		if _, err = dial(t, n); !errors.As(err, &phase) || phase.Phase != PhaseDial || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error(err)
		}
	})
}

func TestDialCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Dial(ctx, Options{URL: "rtmp://far/live/cam", Dialer: n.DialContext})
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "no answer") {
			t.Error(err)
		}
		<-ended
	})
}

// TestEarlyClose holds a close without a word at connect, at publish and right after it
// for a rejection, and one in the middle of a push not.
func TestEarlyClose(t *testing.T) {
	s0s1s2 := append([]byte{3}, make([]byte, 2*1536)...)
	for phase, pieces := range map[Phase][][]byte{
		PhaseConnect: {s0s1s2, nil},
		PhasePublish: {s0s1s2, connected(), nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := faultnet.NewNetwork(nil)
			ended := script(t, n, pieces)
			_, err := dial(t, n)
			var at *PhaseError
			var r *Rejection
			if !errors.As(err, &at) || at.Phase != phase || !errors.As(err, &r) || !r.Early || !Retry(err) {
				t.Errorf("%s: %v", phase, err)
			}
			<-ended
		})
	}
	for _, tt := range []struct {
		after time.Duration
		early bool
	}{{time.Second, true}, {5 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			n := faultnet.NewNetwork(nil)
			ended := script(t, n, [][]byte{s0s1s2, connected(), append(created(1), published()...)})
			p, err := dial(t, n)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(tt.after) // the bubble's time
			n.Wire(0).Do(faultnet.Close, faultnet.Down)
			<-p.Done()
			var r *Rejection
			if got := errors.As(p.Err(), &r); got != tt.early {
				t.Errorf("after %v: %v", tt.after, p.Err())
			}
			if err := p.Write(testmedia.NewLoop(0).Next()); err == nil || err.Error() != p.Err().Error() {
				t.Error(err)
			}
			<-ended
		})
	}
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

// TestNotRTMP dials something else.
func TestNotRTMP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")})
		if _, err := dial(t, n); !errors.Is(err, ErrNotRTMP) {
			t.Error(err)
		}
		<-ended
	})
}

// TestSilentTLS meets a far side that takes the connection and says nothing in TLS.
func TestSilentTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, nil)
		dialer := func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.DialContext(ctx, network, farAddr)
		}
		_, err := Dial(t.Context(), Options{URL: "rtmps://far/live/cam", Dialer: dialer})
		var phase *PhaseError
		if !errors.As(err, &phase) || phase.Phase != PhaseTLS || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-ended
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

// TestTLS pushes over TLS and refuses a certificate that nobody vouches for.
func TestTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil) // for its certificate, and who vouches for it
	defer certified.Close()
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		l, err := n.Listen("far:443")
		if err != nil {
			t.Fatal(err)
		}
		a := &admission{ended: make(chan ingest.Cause, 1)}
		serve(t, a, tls.NewListener(l, &tls.Config{Certificates: certified.TLS.Certificates})) //nolint:gosec // the test's own
		o := Options{URL: "rtmps://far/live/cam", Dialer: n.DialContext}
		var phase *PhaseError
		if _, err := Dial(t.Context(), o); !errors.As(err, &phase) || phase.Phase != PhaseTLS || !Retry(err) {
			t.Error(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(certified.Certificate())
		o.TLS = &tls.Config{RootCAs: pool, ServerName: "example.com", Time: func() time.Time { return certified.Certificate().NotBefore.Add(time.Hour) }} //nolint:gosec // the test's own
		p, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		sent := write(t, p, 100)
		if err := p.Unpublish(); err != nil {
			t.Error(err)
		}
		if cause := <-a.ended; cause != ingest.Unpublish || len(a.packets) != len(sent) {
			t.Error("ended by", cause, "after", len(a.packets))
		}
	})
}
