package rendition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// publication publishes a child's output. It starts at the first keyframe, so that a child without
// output does not take over a stream.
type publication struct {
	child   *child
	intake  flv.Intake
	configs packetbuf.Configs // before the first keyframe
	sink    ingest.Sink       // nil before the first keyframe
}

func (p *publication) publish(packet *packetbuf.Packet) error {
	switch {
	case p.sink != nil:
		return p.write(packet)
	case packet.Kind == packetbuf.Config:
		p.configs[packet.Track] = packet
		return nil
	case packet.Track != packetbuf.Video || packet.Kind != packetbuf.Key:
		return nil
	}
	if err := p.start(); err != nil {
		return err
	}
	for _, tr := range []packetbuf.Track{packetbuf.Data, packetbuf.Video, packetbuf.Audio} {
		if c := p.configs[tr]; c != nil {
			if err := p.write(c); err != nil {
				return err
			}
		}
	}
	if err := p.write(packet); err != nil {
		return err
	}
	p.child.transcode.publishing.Store(true)
	return nil
}

// start publishes the rendition as a stream. If another publisher has the stream, the error wraps
// errYield.
func (p *publication) start() error {
	m := p.child.transcode
	app, name, _ := strings.Cut(m.full, "/")
	sink, err := m.renditions.o.Access.Publish(p.child.ctx, ingest.Request{
		App: app, Name: name, Protocol: ingest.Transcode, Agent: "ffmpeg", Session: p.child,
	})
	var refusal *ingest.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Outcome == ingest.RefusedTakeover:
		return fmt.Errorf("%w: %w", errYield, err)
	case err != nil:
		return fmt.Errorf("publish rendition: %w", err)
	}
	p.sink = sink
	m.log.Info("rendition started", "session", p.child.id, "height", p.child.rendition.Height, "bits", p.child.rendition.Bits)
	return nil
}

func (p *publication) write(packet *packetbuf.Packet) error {
	if err := p.sink.Write(packet); err != nil {
		return fmt.Errorf("write rendition: %w", err)
	}
	return nil
}

func (p *publication) endSession(cause ingest.Cause, detail string) {
	if p.sink != nil {
		p.sink.End(cause, detail)
	}
}
