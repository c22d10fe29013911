// Package rtmp sends streams to RTMP players. Package rtmpconn serves their connections, and
// handles commands, pings and acknowledgements.
package rtmp

import (
	"context"
	"net"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Conn is the part of rtmpconn.Player through which media is sent.
type Conn interface {
	StreamID() uint32
	Write(bufs *net.Buffers) error
	Receives(packetbuf.Track) bool
	Paused() bool
}

// commonStream is the message stream on which nearly all players play. The serialized bytes of its
// messages are shared.
const commonStream = 1

// Serve sends a stream to one player until the stream ends, the player leaves or ctx is done. It
// returns the reason.
func Serve(ctx context.Context, r egress.Reader, c Conn, m egress.Meter) error {
	return egress.Run(ctx, r, &writer{conn: c}, m)
}

// writer implements egress.Writer.
type writer struct {
	conn   Conn
	last   uint32
	wasOff [packetbuf.NumTracks]bool // the player has switched the track off, and nothing was sent since
}

// Paused implements egress.Writer.
func (w *writer) Paused() bool { return w.conn.Paused() }

// Append implements egress.Writer. It appends nothing for a track that the player has switched off.
// After the player switches video on again, it begins at a keyframe.
func (w *writer) Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers {
	if !w.conn.Receives(p.Track) && p.Kind != packetbuf.Config {
		w.wasOff[p.Track] = true
		return bufs
	}
	if w.wasOff[p.Track] && p.Media() {
		if p.Track == packetbuf.Video && p.Kind != packetbuf.Key {
			return bufs
		}
		w.wasOff[p.Track] = false
	}
	w.last = p.Millis()
	var b []byte
	if id := w.conn.StreamID(); id == commonStream {
		b = p.Serialized(packetbuf.RTMPMessage, shared)
	} else {
		b = message(p, id)
	}
	if len(b) == 0 {
		return bufs
	}
	return append(w.appendPadding(bufs, int(p.Padding)), b)
}

// appendPadding appends messages that players ignore. Together they have the given number of
// padding units.
func (w *writer) appendPadding(bufs net.Buffers, units int) net.Buffers {
	id := w.conn.StreamID()
	for units > 0 {
		body, made := flv.PaddingBody(units)
		units -= made
		switch {
		case id != commonStream:
			bufs = append(bufs, padding(id, body))
		case made == 1:
			bufs = append(bufs, paddingUnit)
		default:
			bufs = append(bufs, paddingMost)
		}
	}
	return bufs
}

// paddingUnit and paddingMost are the shortest and the longest padding message on commonStream.
var paddingUnit, paddingMost = func() (unit, most []byte) {
	one, _ := flv.PaddingBody(1)
	many, _ := flv.PaddingBody(packetbuf.MaxPadding)
	return padding(commonStream, one), padding(commonStream, many)
}()

func padding(stream uint32, body []byte) []byte {
	h := rtmp.Header{ChunkStream: rtmpconn.DataChunkStream, Stream: stream, Type: flv.TypeData}
	return rtmp.AppendMessage(nil, h, rtmpconn.ChunkSize, body)
}

func shared(p *packetbuf.Packet) []byte { return message(p, commonStream) }

// message serializes p for a message stream. It returns nil if RTMP cannot carry p.
func message(p *packetbuf.Packet, stream uint32) []byte {
	var scratch [32]byte
	header, err := flv.AppendBodyHeader(scratch[:0], p)
	if err != nil {
		return nil
	}
	h := rtmp.Header{ChunkStream: chunkStream(p.Track), Stream: stream, Type: flv.TagType(p.Track), Timestamp: p.Millis()}
	dst := make([]byte, 0, rtmp.MessageSize(h, rtmpconn.ChunkSize, len(header)+len(p.Payload)))
	dst = rtmp.AppendMessage(dst, h, rtmpconn.ChunkSize, header, p.Payload)
	if beside := flv.Beside(p); beside != nil {
		dst = rtmp.AppendMessage(dst, h, rtmpconn.ChunkSize, beside)
	}
	return dst
}

func chunkStream(t packetbuf.Track) uint32 {
	switch t {
	case packetbuf.Audio:
		return rtmpconn.AudioChunkStream
	case packetbuf.Video:
		return rtmpconn.VideoChunkStream
	}
	return rtmpconn.DataChunkStream
}

// Write implements egress.Writer.
func (w *writer) Write(bufs *net.Buffers) error { return w.conn.Write(bufs) }

// Idle implements egress.Writer. It does nothing: rtmpconn pings players.
func (w *writer) Idle() error { return nil }
