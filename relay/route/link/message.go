package link

import (
	"fmt"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// setDataFrame before metadata makes a server store the metadata for players that join later.
var setDataFrame = wire.AppendAMF(nil, wire.String("@setDataFrame"))

var chunkStreams = [packetbuf.NumTracks]uint32{
	packetbuf.Video: videoChunkStream, packetbuf.Audio: audioChunkStream, packetbuf.Data: dataChunkStream,
}

// appendPacket appends the RTMP message of a packet. The error says why RTMP cannot carry the
// packet: a *flv.UnsupportedError, or ErrTooLong.
func appendPacket(dst []byte, stream uint32, p *packetbuf.Packet) ([]byte, error) {
	var scratch [8]byte // the maximum length of a header
	head, err := flv.AppendBodyHeader(scratch[:0], p)
	if err != nil {
		return dst, err
	}
	if p.Track == packetbuf.Data && p.Kind == packetbuf.Config {
		head = setDataFrame
	}
	if n := len(head) + len(p.Payload); n > wire.MaxPayload {
		return dst, fmt.Errorf("%w: %d bytes", ErrTooLong, n)
	}
	h := wire.Header{
		ChunkStream: chunkStreams[p.Track], Stream: stream,
		Type: flv.TagType(p.Track), Timestamp: p.Millis(),
	}
	dst = wire.AppendMessage(dst, h, chunkSize, head, p.Payload)
	if beside := flv.Beside(p); beside != nil {
		dst = wire.AppendMessage(dst, h, chunkSize, beside)
	}
	return dst, nil
}
