package rtmp

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// world is a server in a bubble, and what stands around it.
type world struct {
	srv    *Server
	l      *pipes
	access *fakeAccess
	plays  *plays
}

// bubble runs f with a server on in-memory connections, in fake time. The server is gone
// when f is over. Channels must be made inside, to count as waited for.
func bubble(t *testing.T, o Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{access: newAccess(), plays: newPlays()}
		o.Access = w.access
		if o.Plays == nil {
			o.Plays = w.plays
		}
		w.srv, w.l = serve(t, o)
		f(t, w)
	})
}

// The time for everything up to publish or play is one, however far a peer has come.
func TestHandshakeDeadline(t *testing.T) {
	steps := map[string]func(p net.Conn, t *testing.T){
		"nothing":      func(net.Conn, *testing.T) {},
		"half of C1":   func(nc net.Conn, _ *testing.T) { _, _ = nc.Write(append([]byte{3}, make([]byte, 700)...)) },
		"no connect":   func(nc net.Conn, t *testing.T) { shake(t, nc) },
		"no publish":   func(nc net.Conn, t *testing.T) { shake(t, nc).connect("live") },
		"half command": func(nc net.Conn, t *testing.T) { shake(t, nc).send([]byte{3, 0, 0, 0, 0, 0, 90, 20, 0}) },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, w *world) {
				nc := w.l.dial()
				defer nc.Close() //nolint:errcheck // a test
				step(nc, t)
				time.Sleep(4900 * time.Millisecond)
				synctest.Wait()
				if n := w.srv.Connections(); n != 1 {
					t.Fatalf("%d connections after 4.9 s", n)
				}
				time.Sleep(200 * time.Millisecond)
				synctest.Wait()
				if n := w.srv.Connections(); n != 0 {
					t.Fatalf("%d connections after 5.1 s", n)
				}
			})
		})
	}
}

// Who decides about a push may take longer than a stranger has: the peer is told all the same.
func TestLateRefusalIsSaid(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		w.access.decide = func(ingest.Request) error {
			time.Sleep(9 * time.Second)
			return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no"}
		}
		p := shake(t, w.l.dial())
		p.connect("live")
		p.call(0, "createStream", wire.Null{})
		p.command("_result")
		p.call(1, "publish", wire.Null{}, wire.String("cam"), wire.String("live"))
		if code, why := p.status(); code != "NetStream.Publish.Denied" || why == "" {
			t.Errorf("%s: %s", code, why)
		}
		_ = p.nc.Close()
	})
}

func TestQuietPublisherStays(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := shake(t, w.l.dial())
		p.publish("live", "cam")
		sink := <-w.access.sinks
		time.Sleep(time.Hour)
		p.media(wire.TypeVideo, 0, avcConfig...)
		<-sink.packets
		// Back to a stranger's time once it has unpublished.
		p.call(0, "FCUnpublish", wire.Null{}, wire.String("cam"))
		<-sink.ended
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := w.srv.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestPingsMeasureTheRoundTrip(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := shake(t, w.l.dial())
		p.publish("live", "cam")
		s := (<-w.access.sinks).request.Session
		answer := func(after time.Duration) {
			for m := range p.got {
				if event, v, _ := wire.ParseUserControl(m.Payload); m.Type == wire.TypeUserControl && event == wire.EventPingRequest {
					time.Sleep(after)
					p.send(wire.AppendUserControl(nil, wire.EventPingResponse, v))
					p.send(wire.AppendUserControl(nil, wire.EventPingResponse, v)) // twice counts once
					p.send(wire.AppendUserControl(nil, wire.EventPingResponse, v+9))
					synctest.Wait()
					return
				}
			}
			t.Fatal("closed")
		}
		if srtt, _ := s.RTT(); srtt != 0 {
			t.Errorf("%v before any answer", srtt)
		}
		// The first ping came while publish waited for its status.
		answer(40 * time.Millisecond)
		if srtt, dev := s.RTT(); srtt != 40*time.Millisecond || dev != 20*time.Millisecond {
			t.Errorf("%v, %v", srtt, dev)
		}
		answer(80 * time.Millisecond)
		if srtt, dev := s.RTT(); srtt != 45*time.Millisecond || dev != 25*time.Millisecond {
			t.Errorf("%v, %v", srtt, dev)
		}
	})
}

// A peer that never answers is asked rarely after a while, and stays.
func TestUnansweredPings(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := shake(t, w.l.dial())
		p.publish("live", "cam")
		pings := 0
		go func() {
			for m := range p.got {
				if m.Type == wire.TypeUserControl {
					pings++
				}
			}
		}()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := w.srv.Connections(); n != 1 || pings < 10 || pings > 16 {
			t.Errorf("%d connections, %d pings", n, pings)
		}
	})
}

// A player that stops reading is given up, and nothing waits for it longer than that.
func TestWriteDeadline(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := shake(t, w.l.dial())
		p.startPlay("live", "cam")
		s := <-w.plays.began
		s.c.SetWriteTimeout(time.Second)
		stop := make(chan struct{})
		go func() { // takes what fits into p.got, then no more
			<-stop
			for range p.got {
			}
		}()
		var err error
		began := time.Now()
		for err == nil {
			bufs := net.Buffers{frameMessage(s.c, 0, make([]byte, 3000))}
			began = time.Now()
			err = s.c.Write(&bufs)
		}
		if d := time.Since(began); d < time.Second || d > 1300*time.Millisecond {
			t.Errorf("gave up after %v: %v", d, err)
		}
		<-s.left
		synctest.Wait()
		if n := w.srv.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
		close(stop)
	})
}

func TestShutdown(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		pub := shake(t, w.l.dial())
		pub.publish("live", "cam")
		sink := <-w.access.sinks
		play := shake(t, w.l.dial())
		play.startPlay("live", "cam")
		s := <-w.plays.began
		silent := w.l.dial()
		defer silent.Close() //nolint:errcheck // a test

		if err := w.srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if e := <-sink.ended; e.cause != ingest.Shutdown {
			t.Errorf("got %+v, want %s", e, ingest.Shutdown)
		}
		<-s.left
		if code, why := pub.status(); code != "NetStream.Publish.Failed" || why == "" {
			t.Error(code, why)
		}
		if code, _ := play.status(); code != "NetStream.Play.UnpublishNotify" {
			t.Error(code)
		}
		if w.srv.Connections() != 0 {
			t.Error("connections are left")
		}
		if err := w.srv.Serve(newPipes()); !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
}

// A play that does not mind its context holds Shutdown up only until the rest is closed.
func TestShutdownInHaste(t *testing.T) {
	o := Options{Plays: playFunc(func(ctx context.Context, _ PlayRequest, c *PlayConn) error {
		<-ctx.Done()
		time.Sleep(time.Minute)
		return nil
	})}
	bubble(t, o, func(t *testing.T, w *world) {
		p := shake(t, w.l.dial())
		p.startPlay("live", "cam")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// badListener fails to accept until it has been asked often enough.
type badListener struct {
	*pipes
	failures int
	asked    chan time.Time
}

func (l *badListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		l.asked <- time.Now()
		return nil, errors.New("too many open files")
	}
	return l.pipes.Accept()
}

func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &badListener{pipes: newPipes(), failures: 12, asked: make(chan time.Time, 12)}
		serveOn(t, Options{Access: newAccess()}, l)
		began := time.Now()
		shake(t, l.dial()).connect("live")
		if d := time.Since(began); d < 4*time.Second || d > 10*time.Second {
			t.Errorf("12 failures took %v", d)
		}
	})
}
