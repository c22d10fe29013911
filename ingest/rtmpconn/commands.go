package rtmpconn

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// receive handles a message. An error ends the connection.
func (c *Conn) receive(m *wire.Message) error {
	switch m.Type {
	case wire.TypeAudio, wire.TypeVideo, wire.TypeDataAMF0, wire.TypeDataAMF3:
		return c.media(m)
	case wire.TypeAggregate:
		return wire.SplitAggregate(m, c.media)
	case wire.TypeUserControl:
		return c.userControl(m.Payload)
	case wire.TypeWindowAckSize:
		n, err := wire.ParseUint32(m.Payload)
		if err == nil && n > 0 {
			c.r.window = n
		}
		return err
	case wire.TypeCommandAMF0, wire.TypeCommandAMF3:
		if !c.commands.allow(time.Now()) {
			return violation("command rate limit exceeded")
		}
		p, ok := m.AMF0()
		if !ok {
			return violation("a command in AMF3")
		}
		cmd, err := wire.ParseCommand(p)
		if err != nil {
			return err
		}
		return c.command(m.Stream, cmd)
	}
	// Acknowledgements, bandwidth, shared objects and unknown types need no answer.
	return nil
}

func (c *Conn) userControl(p []byte) error {
	event, value, err := wire.ParseUserControl(p)
	if err != nil {
		return err
	}
	switch event {
	case wire.EventPingRequest:
		if c.pongs.allow(time.Now()) { // the rest of a flood is not answered
			return c.send(wire.AppendUserControl(nil, wire.EventPingResponse, value))
		}
	case wire.EventPingResponse:
		c.pings.response(value, time.Now())
	}
	return nil
}

func (c *Conn) command(stream uint32, cmd wire.Command) error {
	if !c.connected {
		if cmd.Name != "connect" {
			return violation("%.32q before connect", cmd.Name)
		}
		return c.connect(cmd)
	}
	switch cmd.Name {
	case "connect":
		return violation("a second connect")
	case "createStream":
		return c.createStream(cmd)
	case "deleteStream":
		c.deleteStream(cmd)
		return nil
	case "closeStream":
		c.closeStream(stream)
		return nil
	case "publish":
		return c.startPublish(stream, cmd)
	case "play":
		return c.startPlay(stream, cmd)
	case "FCPublish":
		return c.confirm(cmd, "onFCPublish", info("status", "NetStream.Publish.Start", "FCPublish accepted."))
	case "FCUnpublish":
		if c.publish != nil {
			c.unpublish(ingest.Unpublish, "FCUnpublish")
			c.idle()
		}
		return c.confirm(cmd, "onFCUnpublish", info("status", "NetStream.Unpublish.Success", "FCUnpublish accepted."))
	case "FCSubscribe":
		return c.confirm(cmd, "onFCSubscribe", info("status", "NetStream.Play.Start", "FCSubscribe accepted."))
	case "releaseStream", "_checkbw", "FCUnsubscribe":
		return c.send(result(cmd, wire.Undefined{}))
	case "getStreamLength":
		return c.send(result(cmd, wire.Number(0))) // a live stream has none
	}
	return c.playCommand(stream, cmd)
}

// confirm answers a call, and also sends the notification that some encoders wait for.
func (c *Conn) confirm(cmd wire.Command, name string, o wire.Object) error {
	return c.send(append(result(cmd, wire.Undefined{}), notification(0, name, o)...))
}

// refuse sends the message p, which tells the peer the reason, and ends the connection.
func (c *Conn) refuse(cause ingest.Cause, p []byte, reason string) error {
	if err := c.send(p); err != nil {
		return err
	}
	c.stop(ending{cause: cause, reason: reason, told: true})
	return errRefused
}

// refuseStatus is refuse with an onStatus message.
func (c *Conn) refuseStatus(stream uint32, code, reason string) error {
	return c.refuse(ingest.Kick, status(stream, "error", code, reason), reason)
}

func (c *Conn) connect(cmd wire.Command) error {
	c.peer = parseConnect(cmd)
	c.connected = true
	if why := c.slot.Refusal; why != "" {
		c.opts.Refused(ingest.RefusedLimit)
		c.log().Warn("connection refused", "outcome", string(ingest.RefusedLimit), "reason", why, "hint", c.slot.Hint())
		return c.refuse(ingest.Kick, c.peer.reject(why+"; try again later"), why)
	}
	return c.send(c.peer.accept())
}

func (c *Conn) createStream(cmd wire.Command) error {
	if !c.creates.allow(time.Now()) {
		return violation("createStream rate limit exceeded")
	}
	for id := uint32(1); id < maxStreams; id++ {
		if !c.streams[id] {
			c.streams[id] = true
			return c.send(createStreamResult(cmd, id))
		}
	}
	return violation("more than %d message streams", maxStreams-1)
}

// streamID returns a message stream's ID as an integer. It returns false if the peer has not
// created that stream.
func (c *Conn) streamID(f float64) (uint32, bool) {
	if f < 1 || f >= maxStreams || f != float64(int(f)) || !c.streams[int(f)] {
		return 0, false
	}
	return uint32(f), true
}

// deleteStream handles the command of that name, which has no answer (7.2.2.3).
func (c *Conn) deleteStream(cmd wire.Command) {
	if id, ok := c.streamID(cmd.NumberArg(1)); ok {
		c.closeStream(id)
		c.streams[id] = false
	}
}

// closeStream ends the publish or play on a message stream. The stream can be used again.
func (c *Conn) closeStream(id uint32) {
	if p := c.publish; p != nil && p.stream == id {
		c.unpublish(ingest.Unpublish, "the stream was closed")
		c.idle()
	}
	if p := c.play; p != nil && p.player.stream == id {
		c.endPlay()
		c.idle()
	}
}

// streamName returns a stream's name for logs, with a bounded length.
func streamName(app, name string) string { return fmt.Sprintf("%.80s/%.80s", app, name) }
