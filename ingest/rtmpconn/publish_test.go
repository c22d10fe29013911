package rtmpconn

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// A publisher gets the media of its message stream between publish and unpublish, and nothing
// else.
func TestPublishIsHandedOn(t *testing.T) {
	srv, l := serve(t, Options{})
	c := rtmptest.Handshake(t, l.Dial())
	c.Media(wire.TypeVideo, 0, 1) // there is no stream yet
	c.CreateStream("live")
	c.Media(wire.TypeVideo, 0, 2) // and no publish
	c.Call(1, "publish", wire.Null{}, wire.String("cam?key=s3&backup=1"), wire.String("live"))
	if code, why := c.Status(); code != "NetStream.Publish.Start" {
		t.Fatal(code, why)
	}
	p := wait(t, "publisher", srv.publishers)
	if r := p.request; r.App != "live" || r.Name != "cam" || r.Key != "s3" || !r.Backup || r.Protocol != ingest.RTMP || r.Agent != "test/1" || r.Session.ID() != "0" {
		t.Errorf("got the request %+v", r)
	}
	c.Media(wire.TypeVideo, 40, 3)
	c.Send(wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 2, Type: wire.TypeVideo}, wire.DefaultChunkSize, []byte{4}))
	c.Media(wire.TypeAudio, 41, 5)
	for _, want := range []byte{3, 5} {
		if m := wait(t, "message", p.messages); m.Payload[0] != want {
			t.Errorf("got message %d, want %d", m.Payload[0], want)
		}
	}
	c.Call(0, "FCUnpublish", wire.Null{}, wire.String("cam"))
	if cause := wait(t, "end", p.ended); cause != ingest.Unpublish {
		t.Errorf("got the cause %s, want %s", cause, ingest.Unpublish)
	}
	c.Media(wire.TypeVideo, 80, 6)
	c.Call(1, "publish", wire.Null{}, wire.String("cam"), wire.String("live"))
	again := wait(t, "publisher", srv.publishers)
	if id := again.request.Session.ID(); id != "0-2" {
		t.Errorf("got the second session %s, want 0-2", id)
	}
	p.session.Close(ingest.Kick, "late")
	c.Media(wire.TypeVideo, 120, 7)
	if m := wait(t, "message", again.messages); m.Payload[0] != 7 {
		t.Errorf("got message %d, want 7", m.Payload[0])
	}
	_ = c.Conn.Close()
	if cause := wait(t, "end", again.ended); cause != ingest.EOF {
		t.Errorf("got the cause %s, want %s", cause, ingest.EOF)
	}
	if n := len(p.messages) + len(p.ended); n > 0 {
		t.Errorf("the first publisher got %d calls after its end", n)
	}
}

// rejecting rejects the first message.
type rejecting struct{ *publisher }

func (p rejecting) ReceiveMedia(*wire.Message, time.Time) error {
	return p.session.Reject("NetStream.Publish.BadName", "VVC is not supported")
}

func TestReject(t *testing.T) {
	srv := &server{publishers: make(chan *publisher, 1)}
	_, l := serve(t, Options{OnPublish: func(ctx context.Context, r ingest.Request, s *Session) (Publisher, error) {
		_, _ = srv.publish(ctx, r, s)
		return rejecting{&publisher{session: s, ended: make(chan ingest.Cause, 1)}}, nil
	}})
	c := rtmptest.Handshake(t, l.Dial())
	c.Publish("live", "cam")
	c.Media(wire.TypeVideo, 0, 1)
	if code, why := c.Status(); code != "NetStream.Publish.BadName" || why != "VVC is not supported" {
		t.Errorf("got %s: %s", code, why)
	}
	for m := range c.Got {
		if m.Type == wire.TypeCommandAMF0 {
			t.Errorf("got a second message, %q", m.Payload)
		}
	}
}

// holding is due a second after each message.
type holding struct {
	*publisher
	due     time.Time
	flushed []time.Time
}

func (p *holding) ReceiveMedia(m *wire.Message, arrived time.Time) error {
	p.due = arrived.Add(time.Second)
	return p.publisher.ReceiveMedia(m, arrived)
}

func (p *holding) Due() time.Time { return p.due }

// Flush fails at the second call.
func (p *holding) Flush(now time.Time) error {
	p.due = time.Time{}
	p.flushed = append(p.flushed, now)
	if len(p.flushed) == 2 {
		p.session.Close(ingest.Kick, "twice is enough")
		return errors.New("stale")
	}
	return nil
}

// A publisher is flushed when it is due, and its error ends the connection.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &holding{publisher: &publisher{messages: make(chan wire.Message, 9), ended: make(chan ingest.Cause, 1)}}
		_, l := serve(t, Options{OnPublish: func(_ context.Context, _ ingest.Request, s *Session) (Publisher, error) {
			p.session = s
			return p, nil
		}})
		c := rtmptest.Handshake(t, l.Dial())
		c.Publish("live", "cam")
		var due []time.Time
		for range 2 {
			c.Media(wire.TypeVideo, 0, 1)
			due = append(due, time.Now().Add(time.Second))
			time.Sleep(time.Hour)
		}
		if cause := <-p.ended; cause != ingest.Kick {
			t.Errorf("got the cause %s, want %s", cause, ingest.Kick)
		}
		if !slices.EqualFunc(p.flushed, due, time.Time.Equal) {
			t.Errorf("got flushes at %v, want %v", p.flushed, due)
		}
	})
}
