package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

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

// TestSilentServer meets a server that stops answering in each of the phases.
func TestSilentServer(t *testing.T) {
	tests := []struct {
		phase  qos.Phase
		answer [][]byte // after each of which it reads again
		after  time.Duration
	}{
		{qos.PhaseHandshake, nil, 5 * time.Second},
		{qos.PhaseHandshake, [][]byte{s0s1s2[:2000]}, 5 * time.Second},
		{qos.PhaseConnect, [][]byte{s0s1s2}, 5 * time.Second},
		{qos.PhasePublish, [][]byte{s0s1s2, connected()}, 5 * time.Second},
		{qos.PhasePublish, [][]byte{s0s1s2, connected(), created(1)}, 5 * time.Second},
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

// script answers one connection: it says each piece once something has come, and then reads
// to the end.
func script(t *testing.T, n *faultnet.Network, pieces [][]byte) (ended chan struct{}) {
	t.Helper()
	l, err := n.Listen(serverAddr)
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
		if !errors.As(err, &phase) || phase.Phase != qos.PhaseTCP || !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 5*time.Second {
			t.Error(err, time.Since(begun))
		}
		n.SetDark(false)
		if _, err = dial(t, n); !errors.As(err, &phase) || phase.Phase != qos.PhaseTCP || !errors.Is(err, syscall.ECONNREFUSED) {
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
	for phase, pieces := range map[qos.Phase][][]byte{
		qos.PhaseConnect: {s0s1s2, nil},
		qos.PhasePublish: {s0s1s2, connected(), nil},
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
			said := wire.AppendAck(append(created(1), published()...), 3300) // the commands
			ended := script(t, n, [][]byte{s0s1s2, connected(), said})
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

// TestNotRTMP dials something else.
func TestNotRTMP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")})
		if _, err := dial(t, n); !errors.Is(err, rtmpconn.ErrNotRTMP) {
			t.Error(err)
		}
		<-ended
	})
}

// TestSilentTLS meets a server that takes the connection and says nothing in TLS.
func TestSilentTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, nil)
		dialer := func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.DialContext(ctx, network, serverAddr)
		}
		_, err := Dial(t.Context(), Options{URL: "rtmps://far/live/cam", Dialer: dialer})
		var phase *PhaseError
		if !errors.As(err, &phase) || phase.Phase != qos.PhaseTLS || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		<-ended
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
		if _, err := Dial(t.Context(), o); !errors.As(err, &phase) || phase.Phase != qos.PhaseTLS || !Retry(err) {
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
