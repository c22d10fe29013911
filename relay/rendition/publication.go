package rendition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// publication is what a child makes, on its way to the stream. It begins at the first
// keyframe: a child that makes nothing takes nobody's place.
type publication struct {
	c       *child
	intake  flv.Intake
	configs packetbuf.Configs // until it begins
	sink    ingest.Sink       // nil before
}

func (p *publication) write(packet *packetbuf.Packet) error {
	switch {
	case p.sink != nil:
		return p.put(packet)
	case packet.Kind == packetbuf.Config:
		p.configs[packet.Track] = packet
		return nil
	case packet.Track != packetbuf.Video || packet.Kind != packetbuf.Key:
		return nil
	}
	if err := p.begin(); err != nil {
		return err
	}
	for _, tr := range []packetbuf.Track{packetbuf.Data, packetbuf.Video, packetbuf.Audio} {
		if c := p.configs[tr]; c != nil {
			if err := p.put(c); err != nil {
				return err
			}
		}
	}
	if err := p.put(packet); err != nil {
		return err
	}
	p.c.m.feeds.Store(true)
	return nil
}

// begin has the stream take the child. Where somebody else publishes it, it is left to them.
func (p *publication) begin() error {
	m := p.c.m
	app, name, _ := strings.Cut(m.full, "/")
	sink, err := m.of.o.Access.Publish(p.c.ctx, ingest.Request{
		App: app, Name: name, Protocol: ingest.Transcode, Agent: "ffmpeg", Session: p.c,
	})
	var refusal *ingest.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Outcome == ingest.RefusedTakeover:
		return fmt.Errorf("%w: %w", errYield, err)
	case err != nil:
		return fmt.Errorf("publish the rendition: %w", err)
	}
	p.sink = sink
	m.log.Info("rendition begins", "session", p.c.id, "height", p.c.rendition.Height, "bits", p.c.rendition.Bits)
	return nil
}

func (p *publication) put(packet *packetbuf.Packet) error {
	if err := p.sink.Write(packet); err != nil {
		return fmt.Errorf("the stream does not take the rendition: %w", err)
	}
	return nil
}

func (p *publication) end(cause ingest.Cause, detail string) {
	if p.sink != nil {
		p.sink.End(cause, detail)
	}
}
