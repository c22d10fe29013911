package stream

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

type nopObserver struct{}

func (nopObserver) Observe(Event) {}

// A publisher's packet goes through the stream to a viewer without an allocation, but for the ring's
// own growth and the wake-up.
func BenchmarkPublishAndRead(b *testing.B) {
	var (
		counters Counters
		load     Load
	)
	s := New("live/cam", Options{
		Config:   Config{Hold: time.Minute, Buffer: packetbuf.Limits{Duration: 10 * time.Second, Bytes: 16 << 20}, Gather: time.Hour},
		Observer: nopObserver{}, Counters: &counters, Load: &load, Log: slog.New(slog.DiscardHandler),
	})
	defer s.Close(ingest.Kick, "")
	sink, err := s.Publish(context.Background(), ingest.Request{Protocol: ingest.RTMP, Session: &session{}})
	if err != nil {
		b.Fatal(err)
	}
	g := gen.New(gen.Options{})
	now := time.Now()
	next := func() *packetbuf.Packet {
		p := g.Next()
		p.Arrived = now.Add(p.DTS)
		return p
	}
	for range 200 {
		if err := sink.Write(next()); err != nil {
			b.Fatal(err)
		}
	}
	r, err := s.Attach("httpflv")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	packets := make([]*packetbuf.Packet, b.N)
	for i := range packets {
		packets[i] = next()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i, p := range packets {
		if err := sink.Write(p); err != nil {
			b.Fatal(err)
		}
		if i%32 == 0 {
			r.woken = nil
			if _, err := r.Read(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// What a publisher has written stays as it was: viewers get parameter sets before a keyframe in a
// packet of its own.
func TestPayloadsAreImmutable(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publishClip()
		p.until(t, time.Second)
		r := b.attach()
		p.sink.End(ingest.Reset, "")
		next := b.publishClip()
		type written struct {
			p       *packetbuf.Packet
			payload []byte
			start   *byte
		}
		var all []written
		for i, p := range next.packets {
			if p.Track == packetbuf.Video && p.Kind == packetbuf.Config { // another, so that keyframes repeat it
				c, err := codec.ParseAVCConfig(p.Payload)
				if err != nil {
					t.Fatal(err)
				}
				c.PPS = append(c.PPS, []byte{0x68, 0x01})
				next.packets[i] = p.WithPayload(c.Append(nil))
			}
			p = next.packets[i]
			if p.Track == packetbuf.Video && p.Kind == packetbuf.Key { // without its own
				next.packets[i] = p.WithPayload(codec.AppendNAL(nil, []byte{0x65, 0x88, 0x80}))
				p = next.packets[i]
			}
			all = append(all, written{p, slices.Clone(p.Payload), &p.Payload[0]})
		}
		next.until(t, time.Second)
		packets, _ := drain(t, r)
		given := slices.IndexFunc(packets, func(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Splice != 0 })
		if given < 0 || !codec.AVCHas(packets[given].Payload, 4, codec.NALSPS) {
			t.Error("the session does not start with parameter sets")
		}
		for _, w := range all {
			if !bytes.Equal(w.p.Payload, w.payload) || &w.p.Payload[0] != w.start {
				t.Fatalf("the payload of a packet at %v was changed", w.p.DTS)
			}
		}
	})
}
