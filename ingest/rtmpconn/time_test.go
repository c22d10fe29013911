package rtmpconn

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// One timeout holds for everything up to publish or play.
func TestHandshakeDeadline(t *testing.T) {
	steps := map[string]func(p net.Conn, t *testing.T){
		"nothing":      func(net.Conn, *testing.T) {},
		"half of C1":   func(nc net.Conn, _ *testing.T) { _, _ = nc.Write(append([]byte{3}, make([]byte, 700)...)) },
		"no connect":   func(nc net.Conn, t *testing.T) { rtmptest.Handshake(t, nc) },
		"no publish":   func(nc net.Conn, t *testing.T) { rtmptest.Handshake(t, nc).Connect("live") },
		"half command": func(nc net.Conn, t *testing.T) { rtmptest.Handshake(t, nc).Send([]byte{3, 0, 0, 0, 0, 0, 90, 20, 0}) },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, s *server, l *rtmptest.Listener) {
				nc := l.Dial()
				defer nc.Close() //nolint:errcheck // a test
				step(nc, t)
				time.Sleep(4900 * time.Millisecond)
				synctest.Wait()
				if n := s.connections(); n != 1 {
					t.Fatalf("%d connections after 4.9 s", n)
				}
				time.Sleep(200 * time.Millisecond)
				synctest.Wait()
				if n := s.connections(); n != 0 {
					t.Fatalf("%d connections after 5.1 s", n)
				}
			})
		})
	}
}

// The connection of a player that does not read ends after the write timeout.
func TestWriteDeadline(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *server, l *rtmptest.Listener) {
		p := rtmptest.Handshake(t, l.Dial())
		p.Play("live", "cam")
		play := <-s.players.began
		play.p.SetWriteTimeout(time.Second)
		stop := make(chan struct{})
		go func() { // takes what fits into p.Got, then no more
			<-stop
			for range p.Got {
			}
		}()
		var err error
		began := time.Now()
		for err == nil {
			bufs := net.Buffers{frameMessage(play.p, 0, make([]byte, 3000))}
			began = time.Now()
			err = play.p.Write(&bufs)
		}
		if d := time.Since(began); d < time.Second || d > 1300*time.Millisecond {
			t.Errorf("gave up after %v: %v", d, err)
		}
		<-play.left
		synctest.Wait()
		if n := s.connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
		close(stop)
	})
}

// A player is pinged every 15 s on the best of lines: it may be sent nothing else.
func TestPlayersHeartbeat(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *server, l *rtmptest.Listener) {
		p := rtmptest.Handshake(t, l.Dial())
		p.Play("live", "cam")
		<-s.players.began
		pings, end := p.AnswerPings(func() time.Duration { return 20 * time.Millisecond })
		defer end()
		time.Sleep(10 * time.Minute)
		before := pings.Load()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := pings.Load() - before; n < 39 || n > 41 {
			t.Errorf("%d pings in ten minutes", n)
		}
	})
}
