package rtmpconn

import (
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
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

func frameMessage(p *Player, timestamp uint32, body []byte) []byte {
	return wire.AppendMessage(nil, wire.Header{
		ChunkStream: VideoChunkStream, Stream: p.StreamID(),
		Type: wire.TypeVideo, Timestamp: timestamp,
	}, ChunkSize, body)
}

func TestPlay(t *testing.T) {
	srv, l := serve(t, Options{})
	p := rtmptest.Handshake(t, l.Dial())
	p.Play("live", "cam?token=a.b.c")
	s := wait(t, "play", srv.players.began)
	if s.r.App != "live" || s.r.Name != "cam" || s.r.Token != "a.b.c" || s.r.Agent != "test/1" || s.r.SessionID == "" || s.r.Protocol != ingest.RTMP {
		t.Errorf("%+v", s.r)
	}
	if err := s.p.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NetStream.Play.Reset", "NetStream.Play.Start"} {
		if code, _ := p.Status(); code != want {
			t.Errorf("%s, want %s", code, want)
		}
	}
	if m := <-p.Got; m.Type != wire.TypeDataAMF0 || !strings.Contains(string(m.Payload), "|RtmpSampleAccess") {
		t.Errorf("%+v", m)
	}
	body := slices.Repeat([]byte{7}, 10000)
	whole := frameMessage(s.p, 0x1000000, body)
	bufs := net.Buffers{whole[:10], whole[10:5000], whole[5000:]}
	if err := s.p.Write(&bufs); err != nil {
		t.Fatal(err)
	}
	if m := <-p.Got; m.Timestamp != 0x1000000 || !slices.Equal(m.Payload, body) {
		t.Errorf("%+v", m.Header)
	}

	p.Call(1, "pause", wire.Null{}, wire.Bool(true), wire.Number(0))
	if code, _ := p.Status(); code != "NetStream.Pause.Notify" || !s.p.Paused() {
		t.Error(code)
	}
	p.Call(1, "pause", wire.Null{}, wire.Bool(false), wire.Number(0))
	if code, _ := p.Status(); code != "NetStream.Unpause.Notify" || s.p.Paused() {
		t.Error(code)
	}
	p.Call(1, "receiveVideo", wire.Null{}, wire.Bool(false))
	p.Call(1, "seek", wire.Null{}, wire.Number(9))
	if code, _ := p.Status(); code != "NetStream.Seek.Notify" {
		t.Error(code)
	}
	if s.p.Receives(packetbuf.Video) || !s.p.Receives(packetbuf.Audio) || !s.p.Receives(packetbuf.Data) {
		t.Error("Receives")
	}

	s.p.End("the show is over")
	s.p.End("twice")
	if code, why := p.Status(); code != "NetStream.Play.UnpublishNotify" || why != "the show is over" {
		t.Error(code, why)
	}
	if code, _ := p.Status(); code != "NetStream.Play.Stop" {
		t.Error(code)
	}
	wait(t, "leave", s.left)
	wait(t, "close", p.Done)
}

// A player may leave one stream and play another on the same connection, also on a message
// stream that it creates again.
func TestPlayAgain(t *testing.T) {
	srv, l := serve(t, Options{})
	p := rtmptest.Handshake(t, l.Dial())
	p.Play("live", "one")
	one := wait(t, "play", srv.players.began)
	p.Call(1, "closeStream", wire.Null{})
	wait(t, "leave", one.left)
	p.Call(1, "play", wire.Null{}, wire.String("two"))
	two := wait(t, "play", srv.players.began)
	if two.r.Name != "two" {
		t.Error(two.r)
	}
	p.Call(0, "deleteStream", wire.Null{}, wire.Number(1))
	wait(t, "leave", two.left)
	tx := p.Call(0, "createStream", wire.Null{})
	if r := p.Command("_result"); r.Transaction != tx || r.NumberArg(1) != 1 {
		t.Error(r)
	}
	p.Call(1, "publish", wire.Null{}, wire.String("three"), wire.String("live"))
	if code, _ := p.Status(); code != "NetStream.Publish.Start" {
		t.Error(code)
	}
	wait(t, "publisher", srv.publishers)
	p.Call(1, "play", wire.Null{}, wire.String("four"))
	if code, _ := p.Status(); code != "NetStream.Play.Failed" {
		t.Error(code)
	}
	wait(t, "close", p.Done)
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
		{&PlayError{Reason: "the stream is HEVC", Hint: "use HLS"}, "NetStream.Play.Failed", "the stream is HEVC; use HLS"},
		{nil, "NetStream.Play.UnpublishNotify", "the stream has ended"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			srv, l := serve(t, Options{})
			srv.players.result <- tt.err
			p := rtmptest.Handshake(t, l.Dial())
			p.Play("live", "cam")
			if code, why := p.Status(); code != tt.code || why != tt.why {
				t.Error(code, why)
			}
			wait(t, "close", p.Done)
		})
	}
	t.Run("parts in the wrong fields", func(t *testing.T) {
		srv, l := serve(t, Options{})
		srv.players.result <- &ingest.Refusal{Outcome: ingest.RefusedName, Reason: "r", Hint: "h"}
		p := rtmptest.Handshake(t, l.Dial())
		p.Play("live", "")
		if code, why := p.Status(); code != "NetStream.Play.Failed" || !strings.Contains(why, "is empty; write rtmp://") {
			t.Error(code, why)
		}
	})
	t.Run("nothing is played", func(t *testing.T) {
		l := rtmptest.Listen()
		srv := serveOn(t, Options{}, l)
		srv.opts.OnPlay = nil
		p := rtmptest.Handshake(t, l.Dial())
		p.Play("live", "cam")
		if code, _ := p.Status(); code != "NetStream.Play.Failed" {
			t.Error(code)
		}
	})
	t.Run("on a stream that was not created", func(t *testing.T) {
		_, l := serve(t, Options{})
		p := rtmptest.Handshake(t, l.Dial())
		p.Connect("live")
		p.Call(5, "play", wire.Null{}, wire.String("cam"))
		wait(t, "close", p.Done)
	})
}

func TestPlayerLeaves(t *testing.T) {
	srv, l := serve(t, Options{})
	p := rtmptest.Handshake(t, l.Dial())
	p.Play("live", "cam")
	s := wait(t, "play", srv.players.began)
	_ = p.Conn.Close()
	wait(t, "leave", s.left)
	if err := s.p.Start(); err == nil {
		t.Error("Start after the player left")
	}
	waitGone(t, srv)
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
	srv := serveOn(t, Options{Protocol: ingest.RTMPS, HandshakeTimeout: time.Second},
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
	p := rtmptest.Handshake(t, nc)
	p.Play("live", "cam")
	s := wait(t, "play", srv.players.began)
	if s.r.Protocol != ingest.RTMPS {
		t.Error(s.r.Protocol)
	}
	body := slices.Repeat([]byte{7}, 100_000)
	whole := frameMessage(s.p, 5, body)
	bufs := net.Buffers(slices.Collect(slices.Chunk(whole, 777)))
	if err := s.p.Write(&bufs); err != nil {
		t.Fatal(err)
	}
	for m := range p.Got {
		if m.Type == wire.TypeVideo {
			if !slices.Equal(m.Payload, body) {
				t.Error("the bytes are not the same")
			}
			break
		}
	}
	s.p.End("over")
	for code := ""; code != "NetStream.Play.Stop"; {
		code, _ = p.Status()
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection was spoken to")
	}
}
