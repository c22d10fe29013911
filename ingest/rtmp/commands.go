package rtmp

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// receive does what a message asks for. What it returns is a command for go-rtmp.
func (c *conn) receive(m *wire.Message) (forward []byte, err error) {
	switch m.Type {
	case wire.TypeAudio, wire.TypeVideo, wire.TypeDataAMF0, wire.TypeDataAMF3:
		return nil, c.media(m)
	case wire.TypeAggregate:
		return nil, wire.SplitAggregate(m, c.media)
	case wire.TypeUserControl:
		return nil, c.userControl(m.Payload)
	case wire.TypeWindowAckSize:
		n, err := wire.ParseUint32(m.Payload)
		if err == nil && n > 0 {
			c.r.window = n
		}
		return nil, err
	case wire.TypeCommandAMF0, wire.TypeCommandAMF3:
		if !c.commands.allow(time.Now()) {
			return nil, violation("more commands than anybody needs")
		}
		p, ok := m.AMF0()
		if !ok {
			return nil, violation("a command in AMF3")
		}
		cmd, err := wire.ParseCommand(p)
		if err != nil {
			return nil, err
		}
		return c.command(m.Stream, cmd)
	}
	// Acknowledgements, bandwidth, shared objects and what is not known ask for nothing.
	return nil, nil
}

func (c *conn) userControl(p []byte) error {
	event, value, err := wire.ParseUserControl(p)
	if err != nil {
		return err
	}
	switch event {
	case wire.EventPingRequest:
		if c.pongs.allow(time.Now()) { // the rest of a flood goes unanswered
			return c.send(wire.AppendUserControl(nil, wire.EventPingResponse, value))
		}
	case wire.EventPingResponse:
		c.pings.answered(value, time.Now())
	}
	return nil
}

func (c *conn) command(stream uint32, cmd wire.Command) (forward []byte, err error) {
	if !c.connected {
		if cmd.Name != "connect" {
			return nil, violation("%.32q before connect", cmd.Name)
		}
		return c.connect(cmd)
	}
	switch cmd.Name {
	case "connect":
		return nil, violation("a second connect")
	case "createStream":
		return c.createStream(cmd)
	case "deleteStream":
		return c.deleteStream(cmd)
	case "closeStream":
		c.closeStream(stream)
	case "publish":
		return c.publish(stream, cmd)
	case "play":
		return nil, c.startPlay(stream, cmd)
	case "FCPublish":
		return nil, c.send(append(result(cmd, wire.Undefined{}), command(0, wire.Command{
			Name: "onFCPublish",
			Args: []wire.Value{wire.Null{}, info("status", "NetStream.Publish.Start", "FCPublish accepted.")},
		})...))
	case "FCUnpublish":
		if c.pub != nil {
			c.unpublish(ingest.Unpublish, "FCUnpublish")
			c.idle()
		}
		return nil, c.send(append(result(cmd, wire.Undefined{}), command(0, wire.Command{
			Name: "onFCUnpublish",
			Args: []wire.Value{wire.Null{}, info("status", "NetStream.Unpublish.Success", "FCUnpublish accepted.")},
		})...))
	case "FCSubscribe":
		return nil, c.send(append(result(cmd, wire.Undefined{}), command(0, wire.Command{
			Name: "onFCSubscribe",
			Args: []wire.Value{wire.Null{}, info("status", "NetStream.Play.Start", "FCSubscribe accepted.")},
		})...))
	case "releaseStream", "_checkbw", "FCUnsubscribe":
		return nil, c.sendSome(result(cmd, wire.Undefined{}))
	case "getStreamLength":
		return nil, c.sendSome(result(cmd, wire.Number(0))) // live: no length
	default:
		return nil, c.playCommand(stream, cmd)
	}
	return nil, nil
}

func (c *conn) sendSome(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return c.send(p)
}

// errRefused ends a connection whose peer has been told why.
var errRefused = errors.New("refused")

// refuse says p to the peer and ends the connection without haste.
func (c *conn) refuse(p []byte, reason string) error {
	if err := c.send(p); err != nil {
		return err
	}
	c.stop(ending{cause: ingest.Kick, reason: reason, said: true})
	return errRefused
}

func (c *conn) connect(cmd wire.Command) ([]byte, error) {
	c.peer = parseConnect(cmd)
	c.connected = true
	if why := c.slot.Refusal; why != "" {
		c.srv.o.Refused(ingest.RefusedLimit)
		c.log().Warn("connection refused", "outcome", string(ingest.RefusedLimit), "reason", why, "hint", c.slot.Hint())
		return nil, c.refuse(c.peer.reject(why+"; try again later"), why)
	}
	return forGoRTMP(0, wire.Command{
		Name: "connect", Transaction: 1, Args: []wire.Value{wire.Object{
			{Key: "app", Value: wire.String("app")}, // it never looks; the peer's own stays here
		}},
	}), nil
}

// forGoRTMP writes a command for go-rtmp: with nothing in it that a peer could choose but
// numbers that have been checked.
func forGoRTMP(stream uint32, c wire.Command) []byte {
	h := wire.Header{ChunkStream: commandChunkStream, Stream: stream, Type: wire.TypeCommandAMF0}
	return wire.AppendMessage(nil, h, wire.DefaultChunkSize, wire.AppendCommand(nil, c))
}

func (c *conn) createStream(cmd wire.Command) ([]byte, error) {
	if !c.creates.allow(time.Now()) {
		return nil, violation("more createStream than anybody needs")
	}
	for id := 1; id < maxStreams; id++ {
		if c.streams[id] != unused {
			continue
		}
		c.streams[id] = created // go-rtmp takes the lowest free number too
		if c.parted {
			return nil, c.sendSome(result(cmd, wire.Number(id)))
		}
		return forGoRTMP(0, wire.Command{
			Name: "createStream", Transaction: wholeNumber(cmd.Transaction),
			Args: []wire.Value{wire.Null{}},
		}), nil
	}
	return nil, violation("more than %d streams", maxStreams-1)
}

// wholeNumber is a transaction as go-rtmp can hold it.
func wholeNumber(f float64) float64 {
	if f >= 0 && f < 1<<53 {
		return float64(int64(f))
	}
	return 0
}

// known returns the number of a message stream that the peer has created.
func (c *conn) known(f float64) (uint32, bool) {
	if f < 1 || f >= maxStreams || f != float64(int(f)) || c.streams[int(f)] == unused {
		return 0, false
	}
	return uint32(f), true
}

func (c *conn) deleteStream(cmd wire.Command) ([]byte, error) {
	id, ok := c.known(cmd.NumberArg(1))
	if !ok {
		return nil, nil // it is as it should be
	}
	c.closeStream(id)
	c.streams[id] = unused
	if c.parted {
		return nil, nil
	}
	return forGoRTMP(0, wire.Command{
		Name: "deleteStream",
		Args: []wire.Value{wire.Null{}, wire.Number(id)},
	}), nil
}

// closeStream ends what goes on on a message stream; the stream may be used again.
func (c *conn) closeStream(id uint32) {
	if p := c.pub; p != nil && p.stream == id {
		c.unpublish(ingest.Unpublish, "the stream was closed")
		c.idle()
	}
	if p := c.play; p != nil && p.conn.stream == id {
		c.endPlay()
		c.idle()
	}
}

func describe(app, name string) string { return fmt.Sprintf("%.80s/%.80s", app, name) }
