package rtmp

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// publication is one push on a connection, from publish to unpublish.
type publication struct {
	stream     uint32
	request    ingest.Request
	sink       ingest.Sink
	session    *session
	intake     flv.Intake
	renditions renditions
}

// session is a publication as the stream sees it.
type session struct {
	c    *conn
	id   string
	slow *slow // nil: it must not be slowed
	// repairs are of the media of all tracks.
	repairs *ingest.RepairLog
}

func (s *session) ID() string { return s.id }

// Close implements ingest.Session. A session that has ended takes nobody with it.
func (s *session) Close(cause ingest.Cause, reason string) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.current == s {
		s.c.stopLocked(ending{cause: cause, reason: reason})
	}
}

// RTT implements ingest.Session.
func (s *session) RTT() (srtt, rttvar time.Duration) { return s.c.pings.rtt() }

// Unread implements ingest.Backlogger.
func (s *session) Unread() bool { return s.c.r.unread(time.Now()) }

// Heartbeat implements ingest.Beater.
func (s *session) Heartbeat() time.Duration { return s.c.pings.every() }

// Repairs implements ingest.RepairReporter.
func (s *session) Repairs() []packetbuf.Repair { return s.repairs.Repairs() }

// Limits implements ingest.Limiter.
func (s *session) Limits() bool { return s.slow != nil }

// Limit implements ingest.Limiter.
func (s *session) Limit(bits float64) {
	if s.slow != nil {
		s.slow.limit(bits)
	}
}

// publish asks for admission. A refused publish never reaches go-rtmp.
func (c *conn) publish(stream uint32, cmd wire.Command) ([]byte, error) {
	id, ok := c.known(float64(stream))
	if !ok {
		return nil, violation("publish on message stream %d, which was not created", stream)
	}
	if c.pub != nil || c.play != nil {
		why := "a connection publishes or plays one stream at a time"
		return nil, c.refuse(status(id, "error", "NetStream.Publish.BadName", why), why)
	}
	t := parseTarget(c.peer.app, c.peer.tcURL, cmd.StringArg(1))
	s := &session{c: c, id: c.sessionID()}
	s.repairs = ingest.NewRepairLog(c.srv.o.Repairs, c.log().With("stream", describe(t.app, t.name)))
	if c.srv.o.SlowPublisher(t.app, t.name) {
		s.slow = newSlow(time.Now())
	}
	c.setCurrent(s)
	request := ingest.Request{
		App: t.app, Name: t.name, Key: t.key, Backup: t.backup,
		Protocol: c.srv.o.Protocol, Remote: c.remote, Agent: c.peer.agent, Session: s,
	}
	sink, err := c.srv.o.Access.Publish(c.ctx, request)
	if err != nil {
		c.setCurrent(nil)
		c.w.setTimeout(c.srv.o.WriteTimeout) // the answer may have taken all of a stranger's time
		return nil, c.refusePublish(id, t, advise(err, t, hostOf(c.peer.tcURL)))
	}
	c.slot.Publish(true)
	c.pub = &publication{stream: id, request: request, sink: sink, session: s}
	c.r.demux.SetLimits(c.srv.o.Limits)
	c.r.resize(publisherBuffer)
	c.r.slow = s.slow
	c.admitted()
	if err := c.startPings(policy.Heartbeat{Fixed: c.srv.o.Heartbeat(t.app, t.name)}); err != nil {
		return nil, err
	}
	if c.parted || c.streams[id] == spent {
		return nil, c.send(status(id, "status", "NetStream.Publish.Start", "Publish succeeded."))
	}
	c.streams[id] = spent
	return forGoRTMP(id, wire.Command{
		Name: "publish", Transaction: wholeNumber(cmd.Transaction),
		Args: []wire.Value{wire.Null{}, wire.String("name"), wire.String("live")},
	}), nil
}

func (c *conn) sessionID() string {
	if c.sessions++; c.sessions == 1 {
		return c.id
	}
	return fmt.Sprintf("%s-%d", c.id, c.sessions)
}

func (c *conn) setCurrent(s *session) {
	c.mu.Lock()
	c.current = s
	c.mu.Unlock()
}

func (c *conn) refusePublish(stream uint32, t target, err error) error {
	var r *ingest.Refusal
	if !errors.As(err, &r) {
		c.log().Error("publish failed", "stream", describe(t.app, t.name), "err", err)
		why := "the relay could not take the stream"
		return c.refuse(status(stream, "error", "NetStream.Publish.Failed", why), why)
	}
	c.log().Warn("publish refused", "stream", describe(t.app, t.name),
		"outcome", string(r.Outcome), "reason", r.Reason, "hint", r.Hint)
	code := "NetStream.Publish.BadName"
	if r.Outcome == ingest.RefusedKey {
		code = "NetStream.Publish.Denied"
	}
	return c.refuse(status(stream, "error", code, r.Error()), r.Error())
}

// publishCode says in RTMP's terms why a push that had begun is ended.
func publishCode(cause ingest.Cause) string {
	switch cause {
	case ingest.Takeover:
		return "NetStream.Publish.BadName"
	case ingest.Silence, ingest.FirstMedia, ingest.Timeout:
		return "NetStream.Publish.Idle"
	}
	return "NetStream.Publish.Failed"
}

// unpublish ends the publication towards the stream, once.
func (c *conn) unpublish(cause ingest.Cause, detail string) {
	p := c.pub
	c.pub = nil
	c.slot.Publish(false)
	c.setCurrent(nil)
	c.r.slow = nil
	c.widen()
	c.pings.stop()
	c.r.demux.SetLimits(strangerLimits())
	defer c.guard("end of a publisher session", nil)
	c.passHeld(p, time.Time{})
	p.renditions.end(cause, detail)
	p.sink.End(cause, detail)
}

var tracks = map[uint8]packetbuf.Track{
	wire.TypeAudio: packetbuf.Audio, wire.TypeVideo: packetbuf.Video,
	wire.TypeDataAMF0: packetbuf.Data, wire.TypeDataAMF3: packetbuf.Data,
}

// media passes a message on to the stream. Media that belongs to no publication is
// dropped: it may come before the answer to a publish, and after an unpublish.
func (c *conn) media(m *wire.Message) error {
	p := c.pub
	if p == nil || p.stream != m.Stream {
		return nil
	}
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
	packets, err := p.intake.Take(c.r.readAt, track, m.Timestamp, body)
	var unsupported *flv.UnsupportedError
	if errors.As(err, &unsupported) {
		return c.refuseCodec(unsupported.Codec)
	}
	return c.takeAll(p, packets, p.intake.TakeOthers(c.r.readAt, track, m.Timestamp, body))
}

// passHeld gives the stream the pictures that more might have come of, but has not by now; with
// the zero time all that there are. What becomes of them ends the connection by itself.
func (c *conn) passHeld(p *publication, now time.Time) {
	packets, others := p.intake.Flush(now)
	_ = c.takeAll(p, packets, others)
}

// takeAll takes the packets of the track that feeds the stream, and those of other tracks.
func (c *conn) takeAll(p *publication, packets []*packetbuf.Packet, others []flv.Numbered) error {
	for _, packet := range packets {
		if err := c.take(p, packet); err != nil {
			return err
		}
	}
	for _, other := range others {
		c.other(p, other)
	}
	p.session.repairs.Note(p.intake.Repairs.Drain())
	return nil
}

// take gives the stream a packet of the track that feeds it.
func (c *conn) take(p *publication, packet *packetbuf.Packet) error {
	if slow := c.r.slow; slow != nil && packet.Media() {
		slow.media(c.r.readAt, uint32(packet.DTS/time.Millisecond)) //nolint:gosec // as it came
	}
	if packet.Track == packetbuf.Audio {
		p.renditions.sound(packet)
	}
	if err := p.sink.Write(packet); err != nil {
		// As a rule the stream has closed the session already, and that reason counts.
		c.stop(ending{cause: ingest.Kick, reason: err.Error()})
		return err
	}
	return nil
}

func (c *conn) refuseCodec(name string) error {
	c.srv.o.Refused(ingest.RefusedCodec)
	c.log().Warn("publish refused", "outcome", string(ingest.RefusedCodec), "codec", name)
	why := name + " is not supported; use H.264, HEVC, AV1, VP9 or VP8 with AAC, MP3, Opus, FLAC, AC-3 or E-AC-3"
	if err := c.send(status(c.pub.stream, "error", "NetStream.Publish.BadName", why)); err != nil {
		return err
	}
	c.stop(ending{cause: ingest.Protocol, reason: why, said: true})
	return errRefused
}
