package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	ingestrtmp "github.com/holdfast-live/holdfast/ingest/rtmp"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// streams has one stream for all requests, which ends with errEnd after its packets.
type streams struct {
	packets  []*packetbuf.Packet
	refusal  error // instead of a subscription
	requests chan egress.Request
	closed   chan struct{}
}

func newStreams(packets []*packetbuf.Packet) *streams {
	return &streams{packets: packets, requests: make(chan egress.Request, 16), closed: make(chan struct{}, 16)}
}

func (s *streams) Join(_ context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	s.requests <- r
	if s.refusal != nil {
		return nil, egress.Grant{}, s.refusal
	}
	var steps []func() []*packetbuf.Packet
	for some := range slices.Chunk(s.packets, 64) {
		steps = append(steps, all(some))
	}
	return &subscription{script{steps: steps}, s.closed}, egress.Grant{}, nil
}

type subscription struct {
	script
	closed chan struct{}
}

func (*subscription) Has(packetbuf.Track) bool { return true }
func (*subscription) Until() time.Time         { return time.Time{} }
func (s *subscription) Close()                 { s.closed <- struct{}{} }

// metrics has what was counted for RTMP.
type metrics struct {
	sent   atomic.Uint64
	joined chan time.Duration // to the first media
}

func newMetrics() *metrics { return &metrics{joined: make(chan time.Duration, 16)} }

func (m *metrics) SentBytes(protocol string) *atomic.Uint64 {
	if protocol != ingest.RTMP {
		return nil
	}
	return &m.sent
}

func (m *metrics) FirstMedia(_ string, took time.Duration) { m.joined <- took }
func (*metrics) Joined(string, error)                      {}
func (*metrics) Resumed(string, string)                    {}

type noPublishers struct{}

func (noPublishers) Publish(context.Context, ingest.Request) (ingest.Sink, error) {
	return nil, errors.New("nobody publishes")
}

// listen serves players of s on the address that it returns until the test ends.
func listen(t *testing.T, s *streams, m egress.Metrics) string {
	t.Helper()
	players := New(Options{
		Admission: s, Metrics: m, Log: slog.New(slog.DiscardHandler),
		WriteTimeout: func(string, string) time.Duration { return 10 * time.Second },
		EndReason:    func(err error) (string, bool) { return "the show is over", errors.Is(err, errEnd) },
	})
	server, err := ingestrtmp.New(ingestrtmp.Options{Access: noPublishers{}, OnPlay: players.Play})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr string) *rtmptest.Client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return rtmptest.Handshake(t, nc)
}

func TestPlayersGetTheStream(t *testing.T) {
	s := newStreams([]*packetbuf.Packet{{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Payload: []byte{1, 2, 3}}})
	m := newMetrics()
	c := dial(t, listen(t, s, m))
	c.Play("live", "cam?token=a.b.c")
	for _, want := range []string{"NetStream.Play.Reset", "NetStream.Play.Start"} {
		if code, _ := c.Status(); code != want {
			t.Errorf("got %s, want %s", code, want)
		}
	}
	r := <-s.requests
	if r.App != "live" || r.Name != "cam" || r.Token != "a.b.c" || r.Protocol != ingest.RTMP || r.Agent != "test/1" || r.Remote == "" {
		t.Errorf("got the request %+v", r)
	}
	if slices.Contains(r.Audio, packetbuf.Opus) || !slices.Contains(r.Audio, packetbuf.AAC) {
		t.Errorf("got the audio codecs %v, want AAC and not Opus for a player that announces none", r.Audio)
	}
	for m := range c.Got {
		if m.Type == wire.TypeVideo {
			break
		}
	}
	for _, want := range []string{"NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"} {
		if code, why := c.Status(); code != want || why != "the show is over" {
			t.Errorf("got %s: %s, want %s", code, why, want)
		}
	}
	<-c.Done
	<-s.closed
	if took := <-m.joined; took <= 0 || m.sent.Load() == 0 {
		t.Errorf("got the first media after %v, %d bytes sent", took, m.sent.Load())
	}
}

func TestPlayersAreToldRefusals(t *testing.T) {
	s := newStreams(nil)
	s.refusal = &ingest.Refusal{NotLive: true, Reason: "not live", Hint: "come back"}
	c := dial(t, listen(t, s, newMetrics()))
	c.Play("live", "cam")
	if code, why := c.Status(); code != "NetStream.Play.StreamNotFound" || why != "not live; come back" {
		t.Errorf("got %s: %s", code, why)
	}
}

// A player that announces its codecs gets the audio that it plays, and is told of video that
// it does not.
func TestAnnouncedCodecs(t *testing.T) {
	s := newStreams([]*packetbuf.Packet{{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Key, Payload: []byte{1}}})
	c := dial(t, listen(t, s, newMetrics()))
	c.Call(0, "connect", wire.Object{
		{Key: "app", Value: wire.String("live")},
		{Key: "fourCcList", Value: wire.StrictArray{wire.String("Opus")}},
	})
	c.Command("_result")
	c.Call(0, "createStream", wire.Null{})
	c.Call(1, "play", wire.Null{}, wire.String("cam"))
	if r := <-s.requests; !slices.Contains(r.Audio, packetbuf.Opus) || !slices.Contains(r.Audio, packetbuf.AAC) {
		t.Errorf("got the audio codecs %v, want AAC and Opus", r.Audio)
	}
	for code := ""; code != "NetStream.Play.Failed"; {
		var why string
		if code, why = c.Status(); code == "NetStream.Play.Failed" && !strings.Contains(why, "HEVC in Enhanced RTMP, by HTTP-FLV or by HLS") {
			t.Error(why)
		}
	}
	<-s.closed
}
