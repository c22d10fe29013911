package link

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
)

// Chunk streams of the messages that are sent, as common encoders choose them. Every message has a full
// header, so that it does not depend on another.
const (
	audioChunkStream = 4
	dataChunkStream  = 5
	videoChunkStream = 6
)

const (
	// chunkSize is announced once connected, in bytes.
	chunkSize = rtmpconn.ChunkSize
	// ackWindow requests an acknowledgement after that many bytes. nginx-rtmp takes its interval
	// from it, and would otherwise acknowledge every 5 MB.
	ackWindow = 128 << 10
	agent     = "FMLE/3.0 (compatible; Holdfast)"
)

// Transactions of the commands, in the order in which they are sent.
const (
	txConnect = iota + 1
	txRelease
	txFCPublish
	txCreateStream
	txPublish // and play
)

// role is the purpose of a connection.
type role uint8

const (
	publisher role = iota
	player
	prober // ends with the answer to connect
)

// clientState is the client's state machine of RTMP commands: connect, createStream, and publish or
// play. It handles the server's commands and returns the bytes to send in answer.
type clientState struct {
	target Target
	role   role
	phase  qos.Phase // PhaseConnect, PhasePublish or PhaseRunning
	stream uint32    // message stream to publish or play on; 0 until created
}

func newClientState(t Target, as role) *clientState {
	return &clientState{target: t, role: as, phase: qos.PhaseConnect}
}

// connect returns the bytes to send after the handshake.
func (c *clientState) connect() []byte {
	o := wire.Object{
		{Key: "app", Value: wire.String(c.target.app)},
		{Key: "type", Value: wire.String("nonprivate")},
		{Key: "flashVer", Value: wire.String(agent)},
		{Key: "tcUrl", Value: wire.String(c.target.tcURL)},
	}
	if c.role == player {
		o = append(o[:1:1], o[2:]...) // only publishers send the type
	}
	o = append(o, rtmpconn.Announcement()...)
	return command(wire.DefaultChunkSize, 0, "connect", txConnect, o)
}

// unpublish returns the bytes to send before a clean end.
func (c *clientState) unpublish() []byte {
	var b []byte
	if c.role == publisher {
		b = command(chunkSize, 0, "FCUnpublish", txPublish+1, wire.Null{}, wire.String(c.target.name))
	}
	return append(b, command(chunkSize, 0, "deleteStream", txPublish+2, wire.Null{}, wire.Number(c.stream))...)
}

// command handles a command from the server and returns the bytes to send in answer. The error is a
// *Rejection, ErrUnpublished or a protocol violation.
func (c *clientState) command(cmd wire.Command) ([]byte, error) {
	switch cmd.Name {
	case "_result":
		return c.result(cmd)
	case "_error":
		// Many servers do not know releaseStream and FCPublish.
		if cmd.Transaction == txConnect || cmd.Transaction == txCreateStream || cmd.Transaction == txPublish {
			return nil, c.rejection(cmd, "NetConnection.Call.Failed")
		}
	case "onStatus":
		return nil, c.status(cmd)
	case "close":
		return nil, c.rejection(cmd, "NetConnection.Connect.Closed")
	}
	return nil, nil
}

func (c *clientState) result(cmd wire.Command) ([]byte, error) {
	switch {
	case cmd.Transaction == txConnect && c.phase == qos.PhaseConnect:
		if code, _ := information(cmd); code != "" && code != "NetConnection.Connect.Success" {
			return nil, c.rejection(cmd, code)
		}
		c.phase = qos.PhasePublish
		return c.createStream(), nil
	case cmd.Transaction == txCreateStream && c.phase == qos.PhasePublish && c.stream == 0:
		n := cmd.NumberArg(1)
		if n < 1 || n > 1<<31 || n != float64(uint32(n)) {
			return nil, fmt.Errorf("%w: createStream was answered with stream %v", ErrProtocol, n)
		}
		c.stream = uint32(n)
		return c.publish(), nil
	}
	return nil, nil
}

// createStream returns the bytes to send once connected: the settings of the connection, and the
// commands that need not wait for an answer.
func (c *clientState) createStream() []byte {
	b := wire.AppendWindowAckSize(nil, ackWindow)
	b = wire.AppendSetChunkSize(b, chunkSize)
	if c.role == publisher {
		name := wire.String(c.target.name)
		b = append(b, command(chunkSize, 0, "releaseStream", txRelease, wire.Null{}, name)...)
		b = append(b, command(chunkSize, 0, "FCPublish", txFCPublish, wire.Null{}, name)...)
	}
	return append(b, command(chunkSize, 0, "createStream", txCreateStream, wire.Null{})...)
}

const (
	// playAny requests a live stream, or a recorded one if there is none.
	playAny = -2000
	// playBuffer is the buffer length that a player announces, in ms. A server that paces its output
	// sends up to that much ahead.
	playBuffer = 3000
)

// publish returns the command to send once the message stream exists: publish or play.
func (c *clientState) publish() []byte {
	name := wire.String(c.target.name)
	if c.role == publisher {
		return command(chunkSize, c.stream, "publish", txPublish, wire.Null{}, name, wire.String("live"))
	}
	b := command(chunkSize, c.stream, "play", txPublish, wire.Null{}, name, wire.Number(playAny))
	return appendBufferLength(b, c.stream)
}

// appendBufferLength appends SetBufferLength, the only user control event with two numbers (7.1.7).
func appendBufferLength(dst []byte, stream uint32) []byte {
	p := []byte{0, wire.EventSetBufferLength}
	p = binary.BigEndian.AppendUint32(p, stream)
	p = binary.BigEndian.AppendUint32(p, playBuffer)
	return wire.AppendMessage(dst, wire.Header{ChunkStream: wire.ControlChunkStream, Type: wire.TypeUserControl}, chunkSize, p)
}

// status handles onStatus. Some servers omit the level.
func (c *clientState) status(cmd wire.Command) error {
	code, _ := information(cmd)
	level, _ := wire.Properties(cmd.Arg(1)).Find("level").(wire.String)
	switch {
	case level == "error":
		return c.rejection(cmd, "NetStream.Failed")
	case code == c.startCode():
		c.start()
		return nil
	case c.role == player && isEnd(code):
		if c.phase == qos.PhaseRunning {
			return ErrUnpublished
		}
		return c.rejection(cmd, code)
	case isFailure(code):
		return c.rejection(cmd, "NetStream.Failed")
	}
	return nil
}

// startCode returns the status code with which the server accepts publish or play.
func (c *clientState) startCode() string {
	if c.role == player {
		return "NetStream.Play.Start"
	}
	return "NetStream.Publish.Start"
}

// start begins PhaseRunning if the server has been asked to publish or play.
func (c *clientState) start() {
	if c.phase == qos.PhasePublish && c.stream != 0 {
		c.phase = qos.PhaseRunning
	}
}

// isEnd reports whether a status code is the clean end of a stream that is being played.
func isEnd(code string) bool {
	switch code {
	case "NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete":
		return true
	}
	return false
}

// isFailure reports whether a status code ends the connection, whatever its level.
func isFailure(code string) bool {
	switch code {
	case "NetStream.Publish.BadName", "NetStream.Publish.Denied", "NetStream.Publish.Failed",
		"NetStream.Publish.Idle", "NetStream.Publish.Rejected", "NetStream.Unpublish.Success",
		"NetStream.Play.StreamNotFound", "NetStream.Play.Failed", "NetStream.Play.FileNotFound",
		"NetStream.Play.NoSupportedTrackFound", "NetStream.Play.FileStructureInvalid", "NetStream.Failed",
		"NetConnection.Connect.Rejected", "NetConnection.Connect.Closed", "NetConnection.Connect.InvalidApp",
		"NetConnection.Connect.AppShutdown", "NetConnection.Connect.Failed":
		return true
	}
	return false
}

// rejection returns the error for a command that rejects the request. otherwise is the code to use
// if the command has none.
func (c *clientState) rejection(cmd wire.Command, otherwise string) *Rejection {
	code, description := information(cmd)
	if code == "" {
		code = otherwise
	}
	return &Rejection{Code: c.target.clean(code), Description: c.target.clean(description)}
}

// information returns the code and the description of an answer. They are in its second argument,
// or, with some servers, in its first.
func information(c wire.Command) (code, description string) {
	for i := 1; i >= 0; i-- {
		o := wire.Properties(c.Arg(i))
		a, _ := o.Find("code").(wire.String)
		b, _ := o.Find("description").(wire.String)
		if a != "" || b != "" {
			return string(a), string(b)
		}
	}
	return "", ""
}

func command(chunkSize int, stream uint32, name string, transaction float64, args ...wire.Value) []byte {
	return rtmpconn.AppendCommand(nil, chunkSize, stream, wire.Command{Name: name, Transaction: transaction, Args: args})
}
