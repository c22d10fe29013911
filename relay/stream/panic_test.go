package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A panic over what a publisher sent is its connection's; the stream is not locked by it.
func TestPanicOverAPacketIsTheSessions(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(time.Second)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic: what is tried here?")
				}
			}()
			_ = p.sink.Write(nil)
		}()
		p.sink.End(ingest.Protocol, "internal error")
		b.publish(gen.Options{Source: 1}).run(time.Second)
		if b.state() != lifecycle.Live {
			t.Error(b.state())
		}
	})
}

// hostile is a session over which the loop panics.
type hostile struct{ session }

func (*hostile) RTT() (time.Duration, time.Duration) { panic("by the test") }

// A panic of the loop ends its stream, and nothing else.
func TestPanicOfTheLoopEndsTheStream(t *testing.T) {
	story(t, nil, func(b *bench) {
		h := &hostile{}
		if _, err := b.Publish(t.Context(), ingest.Request{Session: h}); err != nil {
			t.Fatal(err)
		}
		<-b.Done()
		b.Close(ingest.Kick, "waits for the loop")
		if h.closed != ingest.Kick {
			t.Errorf("the session is closed by %q", h.closed)
		}
		if _, err := b.Publish(context.Background(), ingest.Request{Session: h}); !errors.Is(err, ErrEnded) {
			t.Error(err)
		}
	})
}

// A publisher that sends one configuration after another is not heard that often.
func TestChangesAreToldOnceASecond(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(time.Second)
		for i := range 1000 {
			c := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: []byte{byte(i)}}
			if err := p.sink.Write(c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		told := 0
		for _, e := range b.told() {
			if e.Type == Changed {
				told++
			}
		}
		if told < 1 || told > 2 {
			t.Errorf("told %d times in a second", told)
		}
	})
}
