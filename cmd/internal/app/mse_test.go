package app

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// socket is a viewer over WebSocket.
type socket struct {
	*websocket.Conn
	t   *testing.T
	ctx context.Context
}

func openSocket(ctx context.Context, t *testing.T, a *App, path string) *socket {
	t.Helper()
	c, _, err := websocket.Dial(ctx, "ws://"+a.Addr("http").String()+path, nil) //nolint:bodyclose // it is the connection
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(16 << 20)
	return &socket{c, t, ctx}
}

// greeting is the first message.
type greeting struct{ Session, Codecs, Resume string }

func (s *socket) greeting() (g greeting) {
	s.t.Helper()
	_, text, err := s.Read(s.ctx)
	if err != nil || json.Unmarshal(text, &g) != nil {
		s.t.Fatalf("got %s %v", text, err)
	}
	return g
}

// chunk returns the number of the next chunk.
func (s *socket) chunk() uint64 {
	s.t.Helper()
	for {
		kind, data, err := s.Read(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		if kind == websocket.MessageBinary {
			return binary.BigEndian.Uint64(data)
		}
	}
}

// end reads to the end, and returns the close code and reason.
func (s *socket) end() websocket.CloseError {
	for {
		if _, _, err := s.Read(s.ctx); err != nil {
			return websocket.CloseError{Code: websocket.CloseStatus(err), Reason: err.Error()}
		}
	}
}

func TestMSE(t *testing.T) {
	const secret = "s3cret-of-the-plays-0123456789ab"
	var log logs
	a := run(t, &log, func(c *configs.Config) { c.Defaults.PlaySecret = secret })
	other := run(t, &log, func(c *configs.Config) { c.Defaults.PlaySecret = secret })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	token := jwtFor(t, secret, "live/*", time.Now().Add(time.Hour))
	base := "/live/bench/mse?token="
	if end := openSocket(ctx, t, a, base+token).end(); end.Code != 4001 || !strings.Contains(end.Reason, `"2"`) {
		t.Errorf("not live: got %v", end)
	}
	for _, r := range []*App{a, other} {
		publish(t, r, gen.Options{}).pushFor(t, 7*time.Second)
	}
	if end := openSocket(ctx, t, a, base+"none").end(); end.Code != 4002 || !strings.Contains(end.Reason, "This link is not valid.") {
		t.Errorf("refused: got %v", end)
	}
	s := openSocket(ctx, t, a, base+token)
	hello := s.greeting()
	if hello.Session == "" || hello.Codecs != "avc1.4d001f,mp4a.40.2" || hello.Resume != "none" {
		t.Errorf("got %+v", hello)
	}
	s.chunk()
	key := s.chunk()
	if next := s.chunk(); next != key+1 {
		t.Errorf("got %d after %d", next, key)
	}
	_ = s.CloseNow()
	// The session replaces the play token; its position is valid only on this relay.
	back := fmt.Sprintf("/live/bench/mse?resume=%s&after=%d", hello.Session, key)
	again := openSocket(ctx, t, a, back)
	if g := again.greeting(); g.Resume != "exact" {
		t.Errorf("got %+v", g)
	}
	if next := again.chunk(); next != key+1 {
		t.Errorf("resumed with %d, not %d", next, key+1)
	}
	if end := openSocket(ctx, t, other, back).end(); end.Code != 4002 {
		t.Errorf("on a relay with another key: got %v", end)
	}
	for series, want := range map[string]float64{
		`holdfast_viewers{protocol="mse",stream="live/bench"}`:              1,
		`holdfast_viewer_joins_total{outcome="joined",protocol="mse"}`:      2,
		`holdfast_viewer_joins_total{outcome="refused_key",protocol="mse"}`: 1,
		`holdfast_viewer_joins_total{outcome="not_live",protocol="mse"}`:    1,
		`holdfast_viewer_join_seconds_count{protocol="mse"}`:                2,
		`holdfast_viewer_resumes_total{outcome="exact",protocol="mse"}`:     1,
		`holdfast_viewer_skips_total{protocol="mse"}`:                       0,
	} {
		for metric(t, a, series) != want { // the relay counts a moment after the client knows
			if ctx.Err() != nil {
				t.Fatalf("%s is %v", series, metric(t, a, series))
			}
		}
	}
	if metric(t, a, `holdfast_egress_bytes_total{protocol="mse"}`) == 0 {
		t.Error("no bytes are counted")
	}
	if strings.Contains(log.String(), token) || strings.Contains(log.String(), hello.Session) {
		t.Error("a token is logged")
	}
	ended := make(chan websocket.CloseError, 1)
	go func() { ended <- again.end() }()
	a.mse.Close()
	if end := <-ended; end.Code != 1012 {
		t.Errorf("stopped: got %v", end)
	}
	if status, body := get(t, "http://"+other.Addr("http").String()+"/live/bench/mse"); status != 426 || !strings.Contains(body, "wss") {
		t.Errorf("got %d %s", status, body)
	}
}

// A viewer that joins before the stream is live waits. When the stream ends, all viewers are
// told.
func TestMSEWaits(t *testing.T) {
	var log logs
	a := run(t, &log, func(c *configs.Config) { c.Defaults.PlayWait, c.Defaults.HoldUnpublish = 15*time.Second, 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := openSocket(ctx, t, a, "/live/bench/mse")
	p := publish(t, a, gen.Options{})
	p.pushFor(t, 3*time.Second)
	if g := s.greeting(); g.Codecs == "" || g.Resume != "none" {
		t.Errorf("got %+v", g)
	}
	s.chunk()
	p.sink.End(ingest.Unpublish, "the publisher ended the stream")
	if end := s.end(); end.Code != 4000 {
		t.Errorf("ended: got %v", end)
	}
}
