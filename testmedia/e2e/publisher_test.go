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

// publisher pushes a generated stream in real time.
type publisher struct {
	t       testing.TB
	client  *client
	source  uint32
	gen     *gen.Generator
	origin  time.Time // when the frame with time 0 is due
	start   time.Duration
	sent    *list[sentFrame]
	halted  chan struct{} // closed to stop the current run
	runs    sync.WaitGroup
	reader  sync.WaitGroup
	replies *list[*rawmessage.Message] // commands from the relay
}

// sentFrame is a frame and the time just before it was written.
type sentFrame struct {
	id  gen.ID
	key bool
	dts time.Duration
	pts time.Duration
	at  time.Time
}

// publish connects and starts to push. Source in the options identifies the push among those of the
// stream.
func publish(t testing.TB, r *relay, stream string, o gen.Options) *publisher {
	t.Helper()
	c, err := openClient(t, r.addrs["rtmp"], "publish", stream, nil)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	return startPush(t, c, o)
}

// startPush starts to push on a connection whose publish was accepted.
func startPush(t testing.TB, c *client, o gen.Options) *publisher {
	p := &publisher{
		t: t, client: c, source: o.Source, gen: gen.New(o), start: o.Start, origin: time.Now(),
		sent: newList[sentFrame](), replies: newList[*rawmessage.Message](),
	}
	p.reader.Go(func() {
		for {
			m, err := c.read()
			if err != nil {
				p.replies.close(err)
				return
			}
			if m.Type == typeCommand {
				p.replies.add(m)
			}
		}
	})
	t.Cleanup(func() {
		p.pause()
		_ = c.conn.Close()
		p.reader.Wait()
	})
	p.run()
	return p
}

// run sends frames when they are due, until pause.
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

// pause stops the push and leaves the socket open. The frames sent so far do not change.
func (p *publisher) pause() {
	if p.halted != nil {
		close(p.halted)
		p.halted = nil
	}
	p.runs.Wait()
}

// resume continues after pause. It sends what has become due at once, as a line does after an outage.
func (p *publisher) resume() { p.run() }

// resumeLive continues after pause with what becomes due from now on, as an encoder does that was stopped.
func (p *publisher) resumeLive() {
	p.gen.Until(time.Since(p.origin))
	p.run()
}

// reset ends the push with a TCP reset.
func (p *publisher) reset() {
	p.pause()
	p.client.reset()
}

// disconnect closes the socket without an unpublish.
func (p *publisher) disconnect() {
	p.pause()
	_ = p.client.conn.Close()
}

func (p *publisher) unpublish() {
	p.pause()
	if err := p.client.command(0, "deleteStream", 5, nil, float64(1)); err != nil {
		p.t.Errorf("unpublish: %v", err)
	}
	_ = p.client.conn.Close()
}

func (p *publisher) send(packet *packetbuf.Packet) error {
	m := &rawmessage.Message{MessageStreamID: streamID, Timestamp: packet.DTS}
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

// videoBody returns the FLV body for H.264: frame type and codec, packet type, composition time.
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

// audioBody returns the FLV body for stereo AAC or MP3.
func audioBody(p *packetbuf.Packet) []byte {
	switch {
	case p.Codec == packetbuf.MP3:
		return append([]byte{0x2f}, p.Payload...)
	case p.Kind == packetbuf.Config:
		return append([]byte{0xaf, 0}, p.Payload...)
	}
	return append([]byte{0xaf, 1}, p.Payload...)
}

// waitSent waits until at least frames frames have been sent.
func (p *publisher) waitSent(frames int) {
	p.t.Helper()
	if frames == 0 {
		return
	}
	if _, _, err := p.sent.waitFor(waitContext(p.t), frames-1, func(sentFrame) bool { return true }); err != nil {
		p.t.Fatalf("wait for %d sent frames: %v", frames, err)
	}
}

// waitClosed waits until the relay has closed the connection, and returns its last command.
func (p *publisher) waitClosed() string {
	p.t.Helper()
	if err := p.replies.waitClosed(waitContext(p.t)); errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatal("the relay did not close the push")
	}
	output := p.replies.all()
	if len(output) == 0 {
		return ""
	}
	return string(output[len(output)-1].Body)
}
