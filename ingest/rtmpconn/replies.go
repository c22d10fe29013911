package rtmpconn

import (
	"bytes"

	"github.com/yutopp/go-rtmp/message"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// ChunkSize is the chunk size of sent messages in bytes. It is announced in the answer to connect.
const ChunkSize = 4096

// Chunk streams of sent messages. Every message has a full header, so that its bytes do not depend
// on the connection. Callers of Player.Write serialize media themselves.
const (
	commandChunkStream = 3
	DataChunkStream    = 20
	AudioChunkStream   = 21
	VideoChunkStream   = 22
)

// AppendCommand appends a command message in chunks of chunkSize bytes.
func AppendCommand(dst []byte, chunkSize int, stream uint32, c wire.Command) []byte {
	h := wire.Header{ChunkStream: commandChunkStream, Stream: stream, Type: wire.TypeCommandAMF0}
	return wire.AppendMessage(dst, h, chunkSize, wire.AppendCommand(nil, c))
}

func command(stream uint32, c wire.Command) []byte {
	return AppendCommand(nil, ChunkSize, stream, c)
}

func info(level, code, description string) wire.Object {
	return wire.Object{
		{Key: "level", Value: wire.String(level)},
		{Key: "code", Value: wire.String(code)},
		{Key: "description", Value: wire.String(description)},
	}
}

// notification returns a command that is not the answer to a call, such as onStatus.
func notification(stream uint32, name string, o wire.Object) []byte {
	return command(stream, wire.Command{Name: name, Args: []wire.Value{wire.Null{}, o}})
}

// status returns an onStatus message for a message stream.
func status(stream uint32, level, code, description string) []byte {
	return notification(stream, "onStatus", info(level, code, description))
}

// result returns the answer to a call, or nil if the call expects none.
func result(call wire.Command, v wire.Value) []byte {
	if call.Transaction == 0 {
		return nil
	}
	return command(0, wire.Command{
		Name: "_result", Transaction: call.Transaction, Args: []wire.Value{wire.Null{}, v},
	})
}

// createStreamResult returns the answer to createStream.
func createStreamResult(call wire.Command, stream uint32) []byte {
	var body bytes.Buffer
	args := message.NewAMFEncoder(&body, message.EncodingTypeAMF0)
	if err := message.EncodeBodyAnyValues(args, &message.NetConnectionCreateStreamResult{StreamID: stream}); err != nil {
		return nil // only for a value that AMF cannot express
	}
	h := wire.Header{ChunkStream: commandChunkStream, Type: wire.TypeCommandAMF0}
	return appendEncoded(nil, h, &message.CommandMessage{
		CommandName: "_result", TransactionID: wholeNumber(call.Transaction), Encoding: message.EncodingTypeAMF0, Body: &body,
	})
}

// wholeNumber returns a transaction ID as an integer, as go-rtmp's messages require.
func wholeNumber(f float64) int64 {
	if f >= 0 && f < 1<<53 {
		return int64(f)
	}
	return 0
}

// appendEncoded appends a message of go-rtmp in chunks.
func appendEncoded(dst []byte, h wire.Header, m message.Message) []byte {
	var payload bytes.Buffer
	if err := message.NewEncoder(&payload).Encode(m); err != nil {
		return dst // only for a type that go-rtmp does not encode
	}
	return wire.AppendMessage(dst, h, ChunkSize, payload.Bytes())
}

// ackWindow is the announced acknowledgement window and bandwidth, in bytes.
const ackWindow = 2_500_000

// accept returns the answer to connect: the settings of the connection, then the result.
func (p *peer) accept() []byte {
	var b []byte
	for _, m := range []message.Message{
		&message.WinAckSize{Size: ackWindow},
		&message.SetPeerBandwidth{Size: ackWindow, Limit: message.LimitTypeDynamic},
		&message.SetChunkSize{ChunkSize: ChunkSize},
		&message.UserCtrl{Event: &message.UserCtrlEventStreamBegin{StreamID: 0}},
	} {
		b = appendEncoded(b, wire.Header{ChunkStream: wire.ControlChunkStream, Type: uint8(m.TypeID())}, m)
	}
	properties := wire.Object{
		{Key: "fmsVer", Value: wire.String("FMS/3,0,1,123")}, // a version that clients know
		{Key: "capabilities", Value: wire.Number(31)},
		{Key: "mode", Value: wire.Number(1)},
	}
	information := append(info("status", "NetConnection.Connect.Success", "Connection succeeded."),
		wire.Property{Key: "objectEncoding", Value: wire.Number(0)})
	// Some clients look for the properties of Enhanced RTMP in the first object, others in the
	// second.
	return append(b, command(0, wire.Command{
		Name: "_result", Transaction: p.transaction,
		Args: []wire.Value{append(properties, p.enhanced...), append(information, p.enhanced...)},
	})...)
}

// reject returns the answer to a connect that is refused. The properties are null, because ffmpeg
// does not show the description if they are an object.
func (p *peer) reject(description string) []byte {
	return append(wire.AppendSetChunkSize(nil, ChunkSize), command(0, wire.Command{
		Name: "_error", Transaction: p.transaction,
		Args: []wire.Value{wire.Null{}, info("error", "NetConnection.Connect.Rejected", description)},
	})...)
}
