package rtmp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// player is a connection that keeps what is written to it.
type player struct {
	stream uint32
	deaf   [packetbuf.NumTracks]bool
	paused atomic.Bool
	got    bytes.Buffer
	writes int
}

func (p *player) StreamID() uint32                 { return p.stream }
func (p *player) Receives(tr packetbuf.Track) bool { return !p.deaf[tr] }
func (p *player) Paused() bool                     { return p.paused.Load() }
func (p *player) Write(bufs *net.Buffers) error {
	p.writes++
	_, err := bufs.WriteTo(&p.got)
	return err
}

// messages decodes what the player has got, as a player does.
func (p *player) messages(t *testing.T) []wire.Message {
	t.Helper()
	d := wire.NewDemuxer(wire.DefaultLimits())
	rest, _, err := d.Push(wire.AppendSetChunkSize(nil, rtmpconn.ChunkSize))
	if err != nil || len(rest) > 0 {
		t.Fatal(rest, err)
	}
	var out []wire.Message
	for rest := p.got.Bytes(); len(rest) > 0; {
		var m *wire.Message
		if rest, m, err = d.Push(rest); err != nil {
			t.Fatal(err)
		}
		if m != nil {
			out = append(out, *m)
		}
	}
	if d.Buffered() > 0 {
		t.Error("the last message is not whole")
	}
	return out
}

// script is a stream that hands out the steps one by one and then ends.
type script struct {
	steps []func() []*packetbuf.Packet
	skips int
	done  chan struct{}
}

var errEnd = errors.New("the stream is over")

func (s *script) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(s.steps) == 0 {
		return nil, errEnd
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	return step(), nil
}

func (s *script) Skip()                 { s.skips++ }
func (s *script) Done() <-chan struct{} { return s.done }

// all hands the packets out at once.
func all(packets []*packetbuf.Packet) func() []*packetbuf.Packet {
	return func() []*packetbuf.Packet { return packets }
}

// Every message is the packet it was made from, at its time, also where the time needs more
// than 24 bits.
func TestMessages(t *testing.T) {
	for _, start := range []time.Duration{0, 0xfffffe * time.Millisecond, 0xfffffff0 * time.Millisecond} {
		for _, stream := range []uint32{1, 3} {
			packets := gen.New(gen.Options{Start: start, BFrames: 1}).Until(500 * time.Millisecond)
			p := &player{stream: stream}
			if err := Serve(t.Context(), &script{steps: []func() []*packetbuf.Packet{all(packets)}}, p, egress.Meter{}); !errors.Is(err, errEnd) {
				t.Fatal(err)
			}
			got := p.messages(t)
			if len(got) != len(packets) || p.writes != 1 {
				t.Fatalf("%d messages of %d packets, in %d writes", len(got), len(packets), p.writes)
			}
			for i, m := range got {
				body, err := flv.AppendBody(nil, packets[i])
				if err != nil {
					t.Fatal(err)
				}
				want := wire.Header{ChunkStream: chunkStream(packets[i].Track), Stream: stream, Type: flv.TagType(packets[i].Track), Timestamp: packets[i].Millis()}
				if m.Header != want || !bytes.Equal(m.Payload, body) {
					t.Errorf("message %d: %+v instead of %+v", i, m.Header, want)
				}
			}
		}
	}
}

// What stands beside a configuration is a message of its own behind it.
func TestDescription(t *testing.T) {
	config := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Config, Payload: []byte{1, 2, 3}, Beside: []byte("colours")}
	p := &player{stream: 1}
	if err := Serve(t.Context(), &script{steps: []func() []*packetbuf.Packet{all([]*packetbuf.Packet{config})}}, p, egress.Meter{}); !errors.Is(err, errEnd) {
		t.Fatal(err)
	}
	got := p.messages(t)
	if len(got) != 2 || !bytes.Equal(got[1].Payload, []byte("\xd4hvc1colours")) || got[1].Header != got[0].Header {
		t.Errorf("%+v", got)
	}
}

// Padding comes before filler as data messages at timestamp 0 that decode to nothing.
func TestPadding(t *testing.T) {
	for _, stream := range []uint32{1, 3} {
		packets := gen.New(gen.Options{}).Until(100 * time.Millisecond)
		packets[1].Flags, packets[1].Padding = packetbuf.Filler, 16+1
		p := &player{stream: stream}
		if err := Serve(t.Context(), &script{steps: []func() []*packetbuf.Packet{all(packets)}}, p, egress.Meter{}); !errors.Is(err, errEnd) {
			t.Fatal(err)
		}
		got := p.messages(t)
		if len(got) != len(packets)+2 {
			t.Fatalf("%d messages, want %d and 2 of padding", len(got), len(packets))
		}
		for _, m := range got[1:3] {
			decoded, err := flv.Decode(packetbuf.Data, m.Payload)
			if m.Type != flv.TypeData || m.Timestamp != 0 || m.Stream != stream || decoded != nil || err != nil {
				t.Errorf("padding is %+v, decoded as %+v, %v", m.Header, decoded, err)
			}
		}
	}
}

// Players on the common message stream are sent the same bytes; one on another has its own.
func TestShared(t *testing.T) {
	p := gen.New(gen.Options{}).Next()
	a := (&writer{conn: &player{stream: 1}}).Append(nil, p)
	b := (&writer{conn: &player{stream: 1}}).Append(nil, p)
	c := (&writer{conn: &player{stream: 2}}).Append(nil, p)
	if &a[0][0] != &b[0][0] {
		t.Error("two players do not share")
	}
	if &a[0][0] == &c[0][0] {
		t.Error("another message stream shares")
	}
}

// What FLV cannot carry is left out, whole.
func TestUnsupported(t *testing.T) {
	for _, stream := range []uint32{1, 2} {
		w := &writer{conn: &player{stream: stream}}
		if got := w.Append(nil, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.AAC, Kind: packetbuf.Key}); len(got) != 0 {
			t.Errorf("stream %d: %v", stream, got)
		}
	}
}

// A player may switch a track off and on again. Its configuration comes all the same, and
// video comes back with a keyframe.
func TestReceives(t *testing.T) {
	for _, off := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		p := &player{stream: 1}
		g := gen.New(gen.Options{GOP: 30})
		steps := []func() []*packetbuf.Packet{
			func() []*packetbuf.Packet { return g.Until(500 * time.Millisecond) },
			func() []*packetbuf.Packet { p.deaf[off] = true; g.Configure(); return g.Until(1500 * time.Millisecond) },
			func() []*packetbuf.Packet { p.deaf[off] = false; return g.Until(2500 * time.Millisecond) },
		}
		if err := Serve(t.Context(), &script{steps: steps}, p, egress.Meter{}); !errors.Is(err, errEnd) {
			t.Fatal(err)
		}
		configs, last := 0, time.Duration(-1)
		var gap, back time.Duration
		for _, m := range p.messages(t) {
			tr, _ := flv.TrackOf(m.Type)
			if tr != off {
				continue
			}
			got, err := flv.Decode(tr, m.Payload)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Duration(m.Timestamp) * time.Millisecond
			switch {
			case got.Kind == packetbuf.Config:
				configs++
				continue
			case last >= 0 && at-last > max(gap, 100*time.Millisecond):
				gap, back = at-last, at
				if off == packetbuf.Video && got.Kind != packetbuf.Key {
					t.Error("video came back with a frame that needs others")
				}
			}
			last = at
		}
		want := map[packetbuf.Track]time.Duration{packetbuf.Video: 2 * time.Second, packetbuf.Audio: 1500 * time.Millisecond}[off]
		if configs != 2 || back < want || back > want+50*time.Millisecond {
			t.Errorf("%s: %d configurations, back at %v", off, configs, back)
		}
	}
}

// A player that has paused gets nothing, and goes on at a keyframe.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &player{stream: 1}
		g := gen.New(gen.Options{})
		s := &script{steps: []func() []*packetbuf.Packet{
			func() []*packetbuf.Packet {
				p.paused.Store(true)
				time.AfterFunc(time.Minute, func() { p.paused.Store(false) })
				return g.Until(time.Second)
			},
			func() []*packetbuf.Packet { return g.Until(2 * time.Second) },
		}}
		began := time.Now()
		if err := Serve(t.Context(), s, p, egress.Meter{}); !errors.Is(err, errEnd) {
			t.Fatal(err)
		}
		if took := time.Since(began); s.skips != 1 || p.writes != 2 || took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("%d skips, %d writes, %v", s.skips, p.writes, took)
		}
	})
}

// One that leaves while it has paused is let go.
func TestLeaveWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &player{stream: 1}
		p.paused.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := Serve(ctx, &script{}, p, egress.Meter{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// One whose stream ends while it has paused is told, and does not hold on to the stream.
func TestEndWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &player{stream: 1}
		p.paused.Store(true)
		s := &script{done: make(chan struct{})}
		time.AfterFunc(time.Minute, func() { close(s.done) })
		began := time.Now()
		if err := Serve(t.Context(), s, p, egress.Meter{}); !errors.Is(err, errEnd) || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A play ends when the video changes to a codec that the player has not announced.
func TestVideoThatWasNotAnnounced(t *testing.T) {
	packet := func(tr packetbuf.Track, c packetbuf.Codec) []*packetbuf.Packet {
		return []*packetbuf.Packet{{Track: tr, Codec: c, Kind: packetbuf.Key, Payload: []byte{1, 2}}}
	}
	p := &player{stream: 1}
	r := &videoFilter{&script{steps: []func() []*packetbuf.Packet{
		all(packet(packetbuf.Audio, packetbuf.Opus)), all(packet(packetbuf.Video, packetbuf.H264)), all(packet(packetbuf.Video, packetbuf.HEVC)),
	}}, func(c packetbuf.Codec) bool { return c == packetbuf.H264 }}
	err := Serve(t.Context(), r, p, egress.Meter{})
	var refused *CodecError
	if !errors.As(err, &refused) || refused.Codec != packetbuf.HEVC || len(p.messages(t)) != 2 {
		t.Errorf("%v after %d messages", err, len(p.messages(t)))
	}
}
