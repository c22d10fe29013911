package rtmpconn

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos/pacing"
)

// Publisher receives the media that a peer publishes. Its methods are called by the goroutine that
// reads the connection. If a method returns an error, the connection ends, and End is called.
type Publisher interface {
	// ReceiveMedia handles an audio, video or data message, whose last byte arrived at time
	// arrived. The payload belongs to the Publisher.
	ReceiveMedia(m *wire.Message, arrived time.Time) error
	// Due returns when Flush must be called if no message arrives before. The zero Time means
	// never.
	Due() time.Time
	// Flush passes on media that was held back for messages that have not arrived by time now.
	Flush(now time.Time) error
	// End is called once, when no more media follows.
	End(cause ingest.Cause, detail string)
}

// publish is the state of a publish, from the publish command to its end.
type publish struct {
	stream    uint32
	publisher Publisher
}

// Session is the ingest.Session of one publish. It also implements ingest.Backlogger and
// ingest.Beater. Except where noted, its methods may be called from any goroutine.
type Session struct {
	c        *Conn
	id       string
	stream   uint32
	throttle Throttle
}

// ID implements ingest.Session.
func (s *Session) ID() string { return s.id }

// Close implements ingest.Session. It has no effect on later publishes of the connection.
func (s *Session) Close(cause ingest.Cause, reason string) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.current == s {
		s.c.stopLocked(ending{cause: cause, reason: reason})
	}
}

// RTT implements ingest.Session.
func (s *Session) RTT() (srtt, rttvar time.Duration) { return s.c.pings.rtt() }

// Unread implements ingest.Backlogger.
func (s *Session) Unread() bool { return s.c.r.unread(time.Now()) }

// Heartbeat implements ingest.Beater.
func (s *Session) Heartbeat() time.Duration { return s.c.pings.interval() }

// SetThrottle sets a Throttle for the media of this publish. It must not be called after OnPublish
// has returned.
func (s *Session) SetThrottle(t Throttle) { s.throttle = t }

// Reject tells the peer why its media is not accepted, and ends the connection. It returns an
// error, which the Publisher must return. It may be called only within ReceiveMedia and Flush.
func (s *Session) Reject(code, reason string) error {
	return s.c.refuse(ingest.Protocol, status(s.stream, "error", code, reason), reason)
}

// startPublish answers a publish command.
func (c *Conn) startPublish(stream uint32, cmd wire.Command) error {
	id, ok := c.streamID(float64(stream))
	if !ok {
		return violation("publish on message stream %d, which was not created", stream)
	}
	if c.publish != nil || c.play != nil {
		return c.refuseStatus(id, "NetStream.Publish.BadName", "a connection publishes or plays one stream at a time")
	}
	t := parseTarget(c.peer.app, c.peer.tcURL, cmd.StringArg(1))
	s := &Session{c: c, id: c.sessionID(), stream: id}
	c.setCurrent(s)
	publisher, err := c.opts.OnPublish(c.ctx, ingest.Request{
		App: t.app, Name: t.name, Key: t.key, Backup: t.backup,
		Protocol: c.opts.Protocol, Remote: c.remote, Agent: c.peer.agent, Session: s,
	}, s)
	if err != nil {
		c.setCurrent(nil)
		c.w.setTimeout(c.opts.WriteTimeout) // OnPublish may have used all of the time for the handshake
		return c.refusePublish(id, t, advise(err, t, hostOf(c.peer.tcURL)))
	}
	c.slot.Publish(true)
	c.publish = &publish{stream: id, publisher: publisher}
	c.r.demux.SetLimits(c.opts.Limits)
	c.r.resize(publisherBuffer)
	c.r.throttle = s.throttle
	c.admitted()
	if err := c.startPings(pacing.Heartbeat{Fixed: c.opts.Heartbeat(t.app, t.name)}); err != nil {
		return err
	}
	return c.send(status(id, "status", "NetStream.Publish.Start", "Publish succeeded."))
}

// sessionID returns the id of the next publish of the connection.
func (c *Conn) sessionID() string {
	if c.publishes++; c.publishes == 1 {
		return c.id
	}
	return fmt.Sprintf("%s-%d", c.id, c.publishes)
}

func (c *Conn) setCurrent(s *Session) {
	c.mu.Lock()
	c.current = s
	c.mu.Unlock()
}

func (c *Conn) refusePublish(stream uint32, t target, err error) error {
	var r *ingest.Refusal
	if !errors.As(err, &r) {
		c.log().Error("publish failed", "stream", streamName(t.app, t.name), "err", err)
		return c.refuseStatus(stream, "NetStream.Publish.Failed", "the relay could not take the stream")
	}
	c.log().Warn("publish refused", "stream", streamName(t.app, t.name),
		"outcome", string(r.Outcome), "reason", r.Reason, "hint", r.Hint)
	code := "NetStream.Publish.BadName"
	if r.Outcome == ingest.RefusedKey {
		code = "NetStream.Publish.Denied"
	}
	return c.refuseStatus(stream, code, r.Error())
}

// publishCode returns the code that tells a publisher why its stream ends.
func publishCode(cause ingest.Cause) string {
	switch cause {
	case ingest.Takeover:
		return "NetStream.Publish.BadName"
	case ingest.Silence, ingest.FirstMedia, ingest.Timeout:
		return "NetStream.Publish.Idle"
	}
	return "NetStream.Publish.Failed"
}

// unpublish ends the current publish. The connection may continue.
func (c *Conn) unpublish(cause ingest.Cause, detail string) {
	p := c.publish
	c.publish = nil
	c.slot.Publish(false)
	c.setCurrent(nil)
	c.r.throttle = nil
	c.unclamp()
	c.pings.stop()
	c.r.demux.SetLimits(initialLimits())
	defer c.guard("end of a publisher session", nil)
	p.publisher.End(cause, detail)
}

// media passes a message to the publisher. It drops media outside of a publish, which may arrive
// before the publish command is answered, or after an unpublish.
func (c *Conn) media(m *wire.Message) error {
	p := c.publish
	if p == nil || p.stream != m.Stream {
		return nil
	}
	return p.publisher.ReceiveMedia(m, c.r.readAt)
}
