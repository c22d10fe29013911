package rtmp

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// world is a server in a bubble, and what stands around it.
type world struct {
	srv     *Server
	l       *rtmptest.Listener
	access  *fakeAccess
	players *players
}

// bubble runs f with a server on in-memory connections, in fake time. The server is gone
// when f is over. Channels must be made inside, to count as waited for.
func bubble(t *testing.T, o Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{access: newAccess(), players: newPlayers()}
		o.Access = w.access
		if o.OnPlay == nil {
			o.OnPlay = w.players.play
		}
		w.srv, w.l = serve(t, o)
		f(t, w)
	})
}

// Who decides about a push may take longer than a stranger has: the peer is told all the same.
func TestLateRefusalIsSaid(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		w.access.decide = func(ingest.Request) error {
			time.Sleep(9 * time.Second)
			return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no"}
		}
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Connect("live")
		p.Call(0, "createStream", wire.Null{})
		p.Command("_result")
		p.Call(1, "publish", wire.Null{}, wire.String("cam"), wire.String("live"))
		if code, why := p.Status(); code != "NetStream.Publish.Denied" || why == "" {
			t.Errorf("%s: %s", code, why)
		}
		_ = p.Conn.Close()
	})
}

func TestQuietPublisherStays(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		sink := <-w.access.sinks
		time.Sleep(time.Hour)
		p.Media(wire.TypeVideo, 0, avcConfig...)
		<-sink.packets
		// Back to a stranger's time once it has unpublished.
		p.Call(0, "FCUnpublish", wire.Null{}, wire.String("cam"))
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
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		s := (<-w.access.sinks).request.Session
		answer := func(after time.Duration) {
			for m := range p.Got {
				if event, v, _ := wire.ParseUserControl(m.Payload); m.Type == wire.TypeUserControl && event == wire.EventPingRequest {
					time.Sleep(after)
					p.Send(wire.AppendUserControl(nil, wire.EventPingResponse, v))
					p.Send(wire.AppendUserControl(nil, wire.EventPingResponse, v)) // twice counts once
					p.Send(wire.AppendUserControl(nil, wire.EventPingResponse, v+9))
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
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		pings := 0
		go func() {
			for m := range p.Got {
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

func TestShutdown(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		pub := rtmptest.Handshake(t, w.l.Dial())
		pub.Publish("live", "cam")
		sink := <-w.access.sinks
		play := rtmptest.Handshake(t, w.l.Dial())
		play.Play("live", "cam")
		s := <-w.players.began
		silent := w.l.Dial()
		defer silent.Close() //nolint:errcheck // a test

		if err := w.srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if e := <-sink.ended; e.cause != ingest.Shutdown {
			t.Errorf("got %+v, want %s", e, ingest.Shutdown)
		}
		<-s.left
		if code, why := pub.Status(); code != "NetStream.Publish.Failed" || why == "" {
			t.Error(code, why)
		}
		if code, _ := play.Status(); code != "NetStream.Play.UnpublishNotify" {
			t.Error(code)
		}
		if w.srv.Connections() != 0 {
			t.Error("connections are left")
		}
		if err := w.srv.Serve(rtmptest.Listen()); !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	})
}

// A play that does not mind its context holds Shutdown up only until the rest is closed.
func TestShutdownInHaste(t *testing.T) {
	o := Options{OnPlay: func(ctx context.Context, _ rtmpconn.PlayRequest, _ *rtmpconn.Player) error {
		<-ctx.Done()
		time.Sleep(time.Minute)
		return nil
	}}
	bubble(t, o, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Play("live", "cam")
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
	*rtmptest.Listener
	failures int
	asked    chan time.Time
}

func (l *badListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		l.asked <- time.Now()
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &badListener{Listener: rtmptest.Listen(), failures: 12, asked: make(chan time.Time, 12)}
		serveOn(t, Options{Access: newAccess()}, l)
		began := time.Now()
		rtmptest.Handshake(t, l.Dial()).Connect("live")
		if d := time.Since(began); d < 4*time.Second || d > 10*time.Second {
			t.Errorf("12 failures took %v", d)
		}
	})
}
