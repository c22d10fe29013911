package rtmp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// publisher converts the messages of a publishing peer to packets. It implements
// rtmpconn.Publisher.
type publisher struct {
	ctx        context.Context //nolint:containedctx // the connection's
	srv        *Server
	request    ingest.Request
	sink       ingest.Sink
	session    *session
	intake     flv.Intake
	arrived    time.Time // arrival of the last message
	renditions renditions
}

// session is the ingest.Session of a publisher. In addition to the methods of rtmpconn.Session, it
// implements ingest.RepairReporter and ingest.Limiter.
type session struct {
	*rtmpconn.Session
	throttle *throttle         // nil if the publisher must not be slowed
	repairs  *ingest.RepairLog // of the media of all tracks
}

// Repairs implements ingest.RepairReporter.
func (s *session) Repairs() []packetbuf.Repair { return s.repairs.Repairs() }

// Limits implements ingest.Limiter.
func (s *session) Limits() bool { return s.throttle != nil }

// Limit implements ingest.Limiter.
func (s *session) Limit(bits float64) {
	if s.throttle != nil {
		s.throttle.limit(bits)
	}
}

// publish requests admission from Access. It implements rtmpconn.Options.OnPublish.
func (s *Server) publish(ctx context.Context, r ingest.Request, conn *rtmpconn.Session) (rtmpconn.Publisher, error) {
	p := &publisher{ctx: ctx, srv: s, session: &session{Session: conn}}
	p.session.repairs = ingest.NewRepairLog(s.opts.Repairs, s.log(r))
	if s.opts.SlowPublisher(r.App, r.Name) {
		p.session.throttle = newThrottle(time.Now())
		conn.SetThrottle(p.session.throttle)
	}
	r.Session = p.session
	p.request = r
	sink, err := s.opts.Access.Publish(ctx, r)
	if err != nil {
		return nil, err
	}
	p.sink = sink
	return p, nil
}

// log returns a logger for a request to publish.
func (s *Server) log(r ingest.Request) *slog.Logger {
	return s.opts.Log.With("session", r.Session.ID(), "remote", r.Remote, "stream", fmt.Sprintf("%.80s/%.80s", r.App, r.Name))
}

var tracks = map[uint8]packetbuf.Track{
	wire.TypeAudio: packetbuf.Audio, wire.TypeVideo: packetbuf.Video,
	wire.TypeDataAMF0: packetbuf.Data, wire.TypeDataAMF3: packetbuf.Data,
}

// ReceiveMedia implements rtmpconn.Publisher.
func (p *publisher) ReceiveMedia(m *wire.Message, arrived time.Time) error {
	track, ok := tracks[m.Type]
	if !ok {
		return nil
	}
	body, ok := m.AMF0()
	if !ok || track == packetbuf.Data && wire.ValidateAMF(body) != nil {
		p.intake.Unreadable(track)
		p.session.repairs.Note(p.intake.Repairs.Drain())
		return nil
	}
	p.arrived = arrived
	packets, err := p.intake.Take(arrived, track, m.Timestamp, body)
	var unsupported *flv.UnsupportedError
	if errors.As(err, &unsupported) {
		return p.rejectCodec(unsupported.Codec)
	}
	return p.write(packets, p.intake.TakeOthers(arrived, track, m.Timestamp, body))
}

// Due implements rtmpconn.Publisher.
func (p *publisher) Due() time.Time { return p.intake.Due() }

// Flush implements rtmpconn.Publisher. A frame may arrive in several messages. If the rest of a
// frame has not arrived by time now, the frame is complete.
func (p *publisher) Flush(now time.Time) error {
	packets, others := p.intake.Flush(now)
	return p.write(packets, others)
}

// End implements rtmpconn.Publisher.
func (p *publisher) End(cause ingest.Cause, detail string) {
	packets, others := p.intake.Flush(time.Time{})
	_ = p.write(packets, others) // the publisher ends in any case
	p.renditions.end(cause, detail)
	p.sink.End(cause, detail)
}

// write passes packets of the main tracks to the sink, and packets of other tracks to their
// renditions.
func (p *publisher) write(packets []*packetbuf.Packet, others []flv.Numbered) error {
	for _, packet := range packets {
		if err := p.writePacket(packet); err != nil {
			return err
		}
	}
	for _, other := range others {
		p.writeOther(other)
	}
	p.session.repairs.Note(p.intake.Repairs.Drain())
	return nil
}

func (p *publisher) writePacket(packet *packetbuf.Packet) error {
	if t := p.session.throttle; t != nil && packet.Media() {
		t.media(p.arrived, uint32(packet.DTS/time.Millisecond)) //nolint:gosec // as received
	}
	if packet.Track == packetbuf.Audio {
		p.renditions.writeAudio(packet)
	}
	if err := p.sink.Write(packet); err != nil {
		// The stream has usually closed the session already. Only the first reason counts.
		p.session.Close(ingest.Kick, err.Error())
		return err
	}
	return nil
}

func (p *publisher) rejectCodec(name string) error {
	p.srv.conn.Refused(ingest.RefusedCodec)
	p.srv.log(p.request).Warn("publish refused", "outcome", string(ingest.RefusedCodec), "codec", name)
	return p.session.Reject("NetStream.Publish.BadName",
		name+" is not supported; use H.264, HEVC, AV1, VP9 or VP8 with AAC, MP3, Opus, FLAC, AC-3 or E-AC-3")
}
