package rtmp

import (
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Chunk streams that we send on. All that is written is written with full headers, so
// that they may be shared; go-rtmp's own numbers are not let out.
const (
	commandChunkStream = 3
	// DataChunkStream, AudioChunkStream and VideoChunkStream are for whoever serialises
	// messages for PlayConn.Write.
	DataChunkStream  = 20
	AudioChunkStream = 21
	VideoChunkStream = 22
)

// command returns a command message of ours.
func command(stream uint32, c wire.Command) []byte {
	h := wire.Header{ChunkStream: commandChunkStream, Stream: stream, Type: wire.TypeCommandAMF0}
	return wire.AppendMessage(nil, h, chunkSize, wire.AppendCommand(nil, c))
}

func info(level, code, description string) wire.Object {
	return wire.Object{
		{Key: "level", Value: wire.String(level)},
		{Key: "code", Value: wire.String(code)},
		{Key: "description", Value: wire.String(description)},
	}
}

// status returns an onStatus message for a message stream.
func status(stream uint32, level, code, description string) []byte {
	return command(stream, wire.Command{
		Name: "onStatus", Args: []wire.Value{wire.Null{}, info(level, code, description)},
	})
}

// result answers a call with a value. Where no answer was asked for there is none.
func result(call wire.Command, v wire.Value) []byte {
	if call.Transaction == 0 {
		return nil
	}
	return command(0, wire.Command{
		Name: "_result", Transaction: call.Transaction, Args: []wire.Value{wire.Null{}, v},
	})
}
