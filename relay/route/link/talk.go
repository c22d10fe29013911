package link

import (
	"fmt"
	"strings"
	"unicode"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
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
	txPublish
)

// talk is the publisher's side of the commands: connect, createStream, publish. It is
// told what comes and says what goes.
type talk struct {
	target Target
	phase  Phase  // PhaseConnect, PhasePublish or PhaseRunning
	stream uint32 // message stream to publish on; 0 until created
}

func newTalk(t Target) *talk { return &talk{target: t, phase: PhaseConnect} }

// open is what is sent after the handshake.
func (t *talk) open() []byte {
	return command(wire.DefaultChunkSize, 0, "connect", txConnect, wire.Object{
		{Key: "app", Value: wire.String(t.target.app)},
		{Key: "type", Value: wire.String("nonprivate")},
		{Key: "flashVer", Value: wire.String(agent)},
		{Key: "tcUrl", Value: wire.String(t.target.tcURL)},
	})
}

// unpublish is what is sent before a clean end.
func (t *talk) unpublish() []byte {
	b := command(chunkSize, 0, "FCUnpublish", txPublish+1, wire.Null{}, wire.String(t.target.name))
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
	case c.Transaction == txConnect && t.phase == PhaseConnect:
		if code, _ := information(c); code != "" && code != "NetConnection.Connect.Success" {
			return nil, t.rejection(c, code)
		}
		t.phase = PhasePublish
		return t.create(), nil
	case c.Transaction == txCreateStream && t.phase == PhasePublish && t.stream == 0:
		n := c.NumberArg(1)
		if n < 1 || n > 1<<31 || n != float64(uint32(n)) {
			return nil, fmt.Errorf("createStream was answered with stream %v", n)
		}
		t.stream = uint32(n)
		return command(chunkSize, t.stream, "publish", txPublish, wire.Null{},
			wire.String(t.target.name), wire.String("live")), nil
	}
	return nil, nil
}

// create is sent once connected, in one go: what holds for the connection, and all that
// can be asked without waiting.
func (t *talk) create() []byte {
	b := wire.AppendWindowAckSize(nil, ackWindow)
	b = wire.AppendSetChunkSize(b, chunkSize)
	name := wire.String(t.target.name)
	b = append(b, command(chunkSize, 0, "releaseStream", txRelease, wire.Null{}, name)...)
	b = append(b, command(chunkSize, 0, "FCPublish", txFCPublish, wire.Null{}, name)...)
	return append(b, command(chunkSize, 0, "createStream", txCreateStream, wire.Null{})...)
}

// status follows onStatus. Where a server has no level, the code has to tell.
func (t *talk) status(c wire.Command) error {
	code, _ := information(c)
	level, _ := wire.Properties(c.Arg(1)).Find("level").(wire.String)
	switch {
	case code == "NetStream.Publish.Start" && level != "error":
		if t.phase == PhasePublish && t.stream != 0 {
			t.phase = PhaseRunning
		}
		return nil
	case level == "error", ends(code):
		return t.rejection(c, "NetStream.Failed")
	}
	return nil
}

// ends tells whether a status ends a push whatever its level.
func ends(code string) bool {
	switch code {
	case "NetStream.Publish.BadName", "NetStream.Publish.Denied", "NetStream.Publish.Failed",
		"NetStream.Publish.Idle", "NetStream.Publish.Rejected", "NetStream.Unpublish.Success",
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
	return &Rejection{Code: t.shown(code), Description: t.shown(description)}
}

// maxShown is how many bytes of a far side's words are kept.
const maxShown = 256

// shown bounds what a far side says before it gets into a log.
func (t *talk) shown(s string) string {
	s = t.target.redact(s[:min(len(s), 4*maxShown)])
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for i := range s {
		if i > maxShown-4 { // within a rune's length of the bound
			return s[:i]
		}
	}
	return s
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
