//go:build unix

package e2e

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// publisher pushes a made stream, each frame at its time.
type publisher struct {
	t      testing.TB
	client *client
	source uint32
	gen    *gen.Generator
	origin time.Time // when the frame of time 0 is due
	start  time.Duration
	sent   *list[sentFrame]
	halted chan struct{} // of the run under way
	runs   sync.WaitGroup
	reader sync.WaitGroup
	said   *list[*rawmessage.Message] // by the relay, commands only
}

// sentFrame is a frame with the moment before it was written.
type sentFrame struct {
	id  gen.ID
	key bool
	dts time.Duration
	pts time.Duration
	at  time.Time
}

// publish connects and starts to push. The options' Source tells pushes of one stream apart.
func publish(t testing.TB, r *relay, stream string, o gen.Options) *publisher {
	t.Helper()
	c, err := openOn(t, r.addrs["rtmp"], "publish", stream, nil)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return push(t, c, o)
}

// push sends on a connection whose publish was accepted.
func push(t testing.TB, c *client, o gen.Options) *publisher {
	p := &publisher{
		t: t, client: c, source: o.Source, gen: gen.New(o), start: o.Start, origin: time.Now(),
		sent: newList[sentFrame](), said: newList[*rawmessage.Message](),
	}
	p.reader.Go(func() {
		for {
			m, err := c.read()
			if err != nil {
				p.said.close(err)
				return
			}
			if m.Type == typeCommand {
				p.said.add(m)
			}
		}
	})
	t.Cleanup(func() {
		p.halt()
		_ = c.conn.Close()
		p.reader.Wait()
	})
	p.run()
	return p
}

// run sends what is due, until halt.
func (p *publisher) run() {
	halted := make(chan struct{})
	p.halted = halted
	p.runs.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			timer.Reset(time.Until(p.origin.Add(p.gen.Elapsed())))
			select {
			case <-halted:
				return
			case <-timer.C:
			}
			if err := p.send(p.gen.Next()); err != nil {
				p.sent.close(err)
				return
			}
		}
	})
}

// halt stops the push where it is, with the socket open. The frames sent so far stay as they
// are.
func (p *publisher) halt() {
	if p.halted != nil {
		close(p.halted)
		p.halted = nil
	}
	p.runs.Wait()
}

// thaw goes on after halt. What fell due meanwhile is sent at once, as after a line's
// recovery.
func (p *publisher) thaw() { p.run() }

// skip goes on after halt with what falls due now, as an encoder does that stood still.
func (p *publisher) skip() {
	p.gen.Until(time.Since(p.origin))
	p.run()
}

// reset, leave and unpublish are the ends of a push.
func (p *publisher) reset() {
	p.halt()
	p.client.reset()
}

// leave closes the socket without an unpublish.
func (p *publisher) leave() {
	p.halt()
	_ = p.client.conn.Close()
}

func (p *publisher) unpublish() {
	p.halt()
	if err := p.client.command(0, "deleteStream", 5, nil, float64(1)); err != nil {
		p.t.Errorf("unpublish: %v", err)
	}
	_ = p.client.conn.Close()
}

func (p *publisher) send(packet *packetbuf.Packet) error {
	m := &rawmessage.Message{MessageStreamID: first, Timestamp: packet.DTS}
	switch packet.Track {
	case packetbuf.Video:
		m.ChunkStreamID, m.Type, m.Body = 6, typeVideo, videoBody(packet)
	case packetbuf.Audio:
		m.ChunkStreamID, m.Type, m.Body = 4, typeAudio, audioBody(packet)
	default:
		m.ChunkStreamID, m.Type, m.Body = 5, typeData, packet.Payload
	}
	frame := sentFrame{key: packet.Kind == packetbuf.Key, dts: packet.DTS, pts: packet.PTS(), at: time.Now()}
	if packet.Media() {
		id, err := gen.Identify(packet)
		if err != nil {
			return err
		}
		frame.id = id
	}
	if err := p.client.write(m); err != nil {
		return err
	}
	if packet.Media() {
		p.sent.add(frame)
	}
	return nil
}

// videoBody is FLV's for H.264: frame type and codec, packet type, composition time.
func videoBody(p *packetbuf.Packet) []byte {
	first, cto := byte(0x27), p.CTO/time.Millisecond
	if p.Kind == packetbuf.Key || p.Kind == packetbuf.Config {
		first = 0x17
	}
	var unit byte
	if p.Kind != packetbuf.Config {
		unit = 1
	}
	return append([]byte{first, unit, byte(cto >> 16), byte(cto >> 8), byte(cto)}, p.Payload...)
}

// audioBody is FLV's for AAC or MP3, stereo.
func audioBody(p *packetbuf.Packet) []byte {
	switch {
	case p.Codec == packetbuf.MP3:
		return append([]byte{0x2f}, p.Payload...)
	case p.Kind == packetbuf.Config:
		return append([]byte{0xaf, 0}, p.Payload...)
	}
	return append([]byte{0xaf, 1}, p.Payload...)
}

// atLeast waits until the push has sent that many frames.
func (p *publisher) atLeast(frames int) {
	p.t.Helper()
	if frames == 0 {
		return
	}
	if _, _, err := p.sent.next(within(p.t), frames-1, func(sentFrame) bool { return true }); err != nil {
		p.t.Fatalf("push of %d frames: %v", frames, err)
	}
}

// closed waits until the relay has closed the connection, and returns what it said last.
func (p *publisher) closed() string {
	p.t.Helper()
	if err := p.said.over(within(p.t)); errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatal("the relay did not close the push")
	}
	said := p.said.all()
	if len(said) == 0 {
		return ""
	}
	return string(said[len(said)-1].Body)
}
