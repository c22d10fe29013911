package link

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
)

// Chunk streams of what this side sends, as encoders in use choose them. Each carries
// whole headers only, so that no message depends on another.
const (
	commandChunkStream = 3
	audioChunkStream   = 4
	dataChunkStream    = 5
	videoChunkStream   = 6
)

const (
	// chunkSize is what this side announces once it is connected, in bytes.
	chunkSize = 4096
	// ackWindow asks for an acknowledgement every so many bytes: nginx-rtmp takes its
	// interval from here, and would acknowledge every 5 MB otherwise.
	ackWindow = 128 << 10
	agent     = "FMLE/3.0 (compatible; Holdfast)"
)

// Transactions of the commands that are sent, in order.
const (
	txConnect = iota + 1
	txRelease
	txFCPublish
	txCreateStream
	txPublish // and play
)

// role is what a connection is for.
type role uint8

const (
	publisher role = iota
	player
	prober // is content with the answer to connect
)

// talk is this side of the commands: connect, createStream, publish or play. It is told
// what comes and says what goes.
type talk struct {
	target Target
	role   role
	phase  qos.Phase // PhaseConnect, PhasePublish or PhaseRunning
	stream uint32    // message stream to publish or play on; 0 until created
}

func newTalk(t Target, as role) *talk { return &talk{target: t, role: as, phase: qos.PhaseConnect} }

// open is what is sent after the handshake.
func (t *talk) open() []byte {
	o := wire.Object{
		{Key: "app", Value: wire.String(t.target.app)},
		{Key: "type", Value: wire.String("nonprivate")},
		{Key: "flashVer", Value: wire.String(agent)},
		{Key: "tcUrl", Value: wire.String(t.target.tcURL)},
	}
	if t.role == player {
		o = append(o[:1:1], o[2:]...) // the type is a publisher's
	}
	o = append(o, announcement()...)
	return command(wire.DefaultChunkSize, 0, "connect", txConnect, o)
}

// announcement says in Enhanced RTMP's terms what is sent, or taken from who is played.
func announcement() wire.Object {
	const multitrack, modEx = 2, 4 // of capsEx: both are read
	const forwards = 4             // of a codec: it is passed on as it is
	var list wire.StrictArray
	var maps [2]wire.Object
	for i, track := range [...]packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		for _, f := range flv.FourCCs(track) {
			list = append(list, wire.String(f))
			maps[i] = append(maps[i], wire.Property{Key: f, Value: wire.Number(forwards)})
		}
	}
	return wire.Object{
		{Key: "capsEx", Value: wire.Number(multitrack | modEx)},
		{Key: "fourCcList", Value: list},
		{Key: "videoFourCcInfoMap", Value: maps[0]},
		{Key: "audioFourCcInfoMap", Value: maps[1]},
	}
}

// leave is what is sent before a clean end.
func (t *talk) leave() []byte {
	var b []byte
	if t.role == publisher {
		b = command(chunkSize, 0, "FCUnpublish", txPublish+1, wire.Null{}, wire.String(t.target.name))
	}
	return append(b, command(chunkSize, 0, "deleteStream", txPublish+2, wire.Null{}, wire.Number(t.stream))...)
}

// command takes a command of the far side and returns what is to be sent. An error is a
// *Rejection, or says that the far side does not make sense.
func (t *talk) command(c wire.Command) ([]byte, error) {
	switch c.Name {
	case "_result":
		return t.result(c)
	case "_error":
		// releaseStream and FCPublish are courtesy: many servers do not know them.
		if c.Transaction == txConnect || c.Transaction == txCreateStream || c.Transaction == txPublish {
			return nil, t.rejection(c, "NetConnection.Call.Failed")
		}
	case "onStatus":
		return nil, t.status(c)
	case "close":
		return nil, t.rejection(c, "NetConnection.Connect.Closed")
	}
	return nil, nil
}

func (t *talk) result(c wire.Command) ([]byte, error) {
	switch {
	case c.Transaction == txConnect && t.phase == qos.PhaseConnect:
		if code, _ := information(c); code != "" && code != "NetConnection.Connect.Success" {
			return nil, t.rejection(c, code)
		}
		t.phase = qos.PhasePublish
		return t.create(), nil
	case c.Transaction == txCreateStream && t.phase == qos.PhasePublish && t.stream == 0:
		n := c.NumberArg(1)
		if n < 1 || n > 1<<31 || n != float64(uint32(n)) {
			return nil, fmt.Errorf("%w: createStream was answered with stream %v", ErrProtocol, n)
		}
		t.stream = uint32(n)
		return t.begin(), nil
	}
	return nil, nil
}

// create is sent once connected, in one go: what holds for the connection, and all that
// can be asked without waiting.
func (t *talk) create() []byte {
	b := wire.AppendWindowAckSize(nil, ackWindow)
	b = wire.AppendSetChunkSize(b, chunkSize)
	if t.role == publisher {
		name := wire.String(t.target.name)
		b = append(b, command(chunkSize, 0, "releaseStream", txRelease, wire.Null{}, name)...)
		b = append(b, command(chunkSize, 0, "FCPublish", txFCPublish, wire.Null{}, name)...)
	}
	return append(b, command(chunkSize, 0, "createStream", txCreateStream, wire.Null{})...)
}

const (
	// playAny asks for a stream that is live; where there is none, for a recorded one.
	playAny = -2000
	// playBuffer is what a player is said to hold, in ms: a server that paces sends as much ahead.
	playBuffer = 3000
)

// begin is sent once there is a message stream.
func (t *talk) begin() []byte {
	name := wire.String(t.target.name)
	if t.role == publisher {
		return command(chunkSize, t.stream, "publish", txPublish, wire.Null{}, name, wire.String("live"))
	}
	b := command(chunkSize, t.stream, "play", txPublish, wire.Null{}, name, wire.Number(playAny))
	return appendBufferLength(b, t.stream)
}

// appendBufferLength is the one user control event with two numbers (7.1.7).
func appendBufferLength(dst []byte, stream uint32) []byte {
	p := []byte{0, wire.EventSetBufferLength}
	p = binary.BigEndian.AppendUint32(p, stream)
	p = binary.BigEndian.AppendUint32(p, playBuffer)
	return wire.AppendMessage(dst, wire.Header{ChunkStream: wire.ControlChunkStream, Type: wire.TypeUserControl}, chunkSize, p)
}

// status follows onStatus. Where a server has no level, the code has to tell.
func (t *talk) status(c wire.Command) error {
	code, _ := information(c)
	level, _ := wire.Properties(c.Arg(1)).Find("level").(wire.String)
	switch {
	case level == "error":
		return t.rejection(c, "NetStream.Failed")
	case code == t.started():
		t.start()
		return nil
	case t.role == player && over(code):
		if t.phase == qos.PhaseRunning {
			return ErrUnpublished
		}
		return t.rejection(c, code)
	case ends(code):
		return t.rejection(c, "NetStream.Failed")
	}
	return nil
}

// started is the code that says yes to publish or play.
func (t *talk) started() string {
	if t.role == player {
		return "NetStream.Play.Start"
	}
	return "NetStream.Publish.Start"
}

// start notes that the far side has said yes, if it was asked.
func (t *talk) start() {
	if t.phase == qos.PhasePublish && t.stream != 0 {
		t.phase = qos.PhaseRunning
	}
}

// over tells whether a status is the clean end of what is played.
func over(code string) bool {
	switch code {
	case "NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete":
		return true
	}
	return false
}

// ends tells whether a status ends a connection whatever its level.
func ends(code string) bool {
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

// rejection makes an error of an answer; otherwise is the code of one that has none.
func (t *talk) rejection(c wire.Command, otherwise string) *Rejection {
	code, description := information(c)
	if code == "" {
		code = otherwise
	}
	return &Rejection{Code: t.target.clean(code), Description: t.target.clean(description)}
}

// information returns code and description of an answer: they stand in its second
// argument as a rule, in its first with some servers.
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

func command(chunk int, stream uint32, name string, transaction float64, args ...wire.Value) []byte {
	h := wire.Header{ChunkStream: commandChunkStream, Stream: stream, Type: wire.TypeCommandAMF0}
	return wire.AppendMessage(nil, h, chunk, wire.AppendCommand(nil, wire.Command{Name: name, Transaction: transaction, Args: args}))
}
