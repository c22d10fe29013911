package rtmp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// plays hands each play to the test, which serves it from its own goroutine; the play
// ends with what is sent on result, or when the player leaves.
type plays struct {
	began  chan *served
	result chan error
}

type served struct {
	r    PlayRequest
	c    *PlayConn
	ctx  context.Context
	left chan struct{}
}

func newPlays() *plays {
	return &plays{began: make(chan *served, 1024), result: make(chan error, 1)}
}

func (ps *plays) Play(ctx context.Context, r PlayRequest, c *PlayConn) error {
	s := &served{r: r, c: c, ctx: ctx, left: make(chan struct{})}
	defer close(s.left)
	ps.began <- s
	select {
	case err := <-ps.result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func frameMessage(c *PlayConn, timestamp uint32, body []byte) []byte {
	return wire.AppendMessage(nil, wire.Header{
		ChunkStream: VideoChunkStream, Stream: c.StreamID(),
		Type: wire.TypeVideo, Timestamp: timestamp,
	}, c.ChunkSize(), body)
}

func TestPlay(t *testing.T) {
	ps := newPlays()
	_, l := serve(t, Options{Access: newAccess(), Plays: ps})
	p := shake(t, l.dial())
	p.startPlay("live", "cam?token=a.b.c")
	s := wait(t, "play", ps.began)
	if s.r.App != "live" || s.r.Name != "cam" || s.r.Token != "a.b.c" || s.r.Agent != "test/1" || s.r.SessionID == "" || s.r.Protocol != ingest.RTMP {
		t.Errorf("%+v", s.r)
	}
	if err := s.c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NetStream.Play.Reset", "NetStream.Play.Start"} {
		if code, _ := p.status(); code != want {
			t.Errorf("%s, want %s", code, want)
		}
	}
	if m := <-p.got; m.Type != wire.TypeDataAMF0 || !strings.Contains(string(m.Payload), "|RtmpSampleAccess") {
		t.Errorf("%+v", m)
	}
	body := slices.Repeat([]byte{7}, 10000)
	whole := frameMessage(s.c, 0x1000000, body)
	bufs := net.Buffers{whole[:10], whole[10:5000], whole[5000:]}
	if err := s.c.Write(&bufs); err != nil {
		t.Fatal(err)
	}
	if m := <-p.got; m.Timestamp != 0x1000000 || !slices.Equal(m.Payload, body) {
		t.Errorf("%+v", m.Header)
	}

	p.call(1, "pause", wire.Null{}, wire.Bool(true), wire.Number(0))
	if code, _ := p.status(); code != "NetStream.Pause.Notify" || !s.c.Paused() {
		t.Error(code)
	}
	p.call(1, "pause", wire.Null{}, wire.Bool(false), wire.Number(0))
	if code, _ := p.status(); code != "NetStream.Unpause.Notify" || s.c.Paused() {
		t.Error(code)
	}
	p.call(1, "receiveVideo", wire.Null{}, wire.Bool(false))
	p.call(1, "seek", wire.Null{}, wire.Number(9))
	if code, _ := p.status(); code != "NetStream.Seek.Notify" {
		t.Error(code)
	}
	if s.c.Receives(packetbuf.Video) || !s.c.Receives(packetbuf.Audio) || !s.c.Receives(packetbuf.Data) {
		t.Error("Receives")
	}

	s.c.End("the show is over")
	s.c.End("twice")
	if code, why := p.status(); code != "NetStream.Play.UnpublishNotify" || why != "the show is over" {
		t.Error(code, why)
	}
	if code, _ := p.status(); code != "NetStream.Play.Stop" {
		t.Error(code)
	}
	wait(t, "leave", s.left)
	wait(t, "close", p.done)
}

// A player may leave one stream and take another on the same connection, also one that it
// creates anew; go-rtmp has left by then.
func TestPlayAgain(t *testing.T) {
	ps := newPlays()
	access := newAccess()
	_, l := serve(t, Options{Access: access, Plays: ps})
	p := shake(t, l.dial())
	p.startPlay("live", "one")
	one := wait(t, "play", ps.began)
	p.call(1, "closeStream", wire.Null{})
	wait(t, "leave", one.left)
	p.call(1, "play", wire.Null{}, wire.String("two"))
	two := wait(t, "play", ps.began)
	if two.r.Name != "two" {
		t.Error(two.r)
	}
	p.call(0, "deleteStream", wire.Null{}, wire.Number(1))
	wait(t, "leave", two.left)
	tx := p.call(0, "createStream", wire.Null{})
	if r := p.command("_result"); r.Transaction != tx || r.NumberArg(1) != 1 {
		t.Error(r)
	}
	p.call(1, "publish", wire.Null{}, wire.String("three"), wire.String("live"))
	if code, _ := p.status(); code != "NetStream.Publish.Start" {
		t.Error(code)
	}
	wait(t, "sink", access.sinks)
	p.call(1, "play", wire.Null{}, wire.String("four"))
	if code, _ := p.status(); code != "NetStream.Play.Failed" {
		t.Error(code)
	}
	wait(t, "close", p.done)
}

func TestPlayRefused(t *testing.T) {
	for _, tt := range []struct {
		err       error
		code, why string
	}{
		{&ingest.Refusal{NotLive: true, Reason: "not live"}, "NetStream.Play.StreamNotFound", "not live"},
		{&ingest.Refusal{Reason: "no token", Hint: "get one"}, "NetStream.Play.Failed", "no token; get one"},
		{errors.New("secret of the house"), "NetStream.Play.Failed", "the stream could not be played"},
		{
			&ingest.Refusal{Reason: "this link has expired", Hint: "ask for a new one", Detail: "the exp of the play token has passed"},
			"NetStream.Play.Failed", "this link has expired; ask for a new one (the exp of the play token has passed)",
		},
		{nil, "NetStream.Play.UnpublishNotify", "the stream has ended"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			ps := newPlays()
			ps.result <- tt.err
			_, l := serve(t, Options{Access: newAccess(), Plays: ps})
			p := shake(t, l.dial())
			p.startPlay("live", "cam")
			if code, why := p.status(); code != tt.code || why != tt.why {
				t.Error(code, why)
			}
			wait(t, "close", p.done)
		})
	}
	t.Run("parts in the wrong fields", func(t *testing.T) {
		ps := newPlays()
		ps.result <- &ingest.Refusal{Outcome: ingest.RefusedName, Reason: "r", Hint: "h"}
		_, l := serve(t, Options{Access: newAccess(), Plays: ps})
		p := shake(t, l.dial())
		p.startPlay("live", "")
		if code, why := p.status(); code != "NetStream.Play.Failed" || !strings.Contains(why, "is empty; write rtmp://") {
			t.Error(code, why)
		}
	})
	t.Run("nothing is played", func(t *testing.T) {
		_, l := serve(t, Options{Access: newAccess()})
		p := shake(t, l.dial())
		p.startPlay("live", "cam")
		if code, _ := p.status(); code != "NetStream.Play.Failed" {
			t.Error(code)
		}
	})
	t.Run("on a stream that was not created", func(t *testing.T) {
		_, l := serve(t, Options{Access: newAccess(), Plays: newPlays()})
		p := shake(t, l.dial())
		p.connect("live")
		p.call(5, "play", wire.Null{}, wire.String("cam"))
		wait(t, "close", p.done)
	})
}

func TestPlayerLeaves(t *testing.T) {
	ps := newPlays()
	srv, l := serve(t, Options{Access: newAccess(), Plays: ps})
	p := shake(t, l.dial())
	p.startPlay("live", "cam")
	s := wait(t, "play", ps.began)
	_ = p.nc.Close()
	wait(t, "leave", s.left)
	if err := s.c.Start(); err == nil {
		t.Error("Start after the player left")
	}
	_ = srv.Close()
	if n := srv.Connections(); n != 0 {
		t.Error(n)
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ps, access := newPlays(), newAccess()
	serveOn(t, Options{Access: access, Plays: ps, Protocol: ingest.RTMPS, HandshakeTimeout: time.Second},
		tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate(t)}}))

	silent, err := net.Dial("tcp", l.Addr().String()) // never begins a TLS handshake
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // a test
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	p := shake(t, nc)
	p.startPlay("live", "cam")
	s := wait(t, "play", ps.began)
	if s.r.Protocol != ingest.RTMPS {
		t.Error(s.r.Protocol)
	}
	body := slices.Repeat([]byte{7}, 100_000)
	whole := frameMessage(s.c, 5, body)
	bufs := net.Buffers(slices.Collect(slices.Chunk(whole, 777)))
	if err := s.c.Write(&bufs); err != nil {
		t.Fatal(err)
	}
	for m := range p.got {
		if m.Type == wire.TypeVideo {
			if !slices.Equal(m.Payload, body) {
				t.Error("the bytes are not the same")
			}
			break
		}
	}
	s.c.End("over")
	for code := ""; code != "NetStream.Play.Stop"; {
		code, _ = p.status()
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection was spoken to")
	}
}
