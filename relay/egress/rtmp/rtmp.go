// Package rtmp sends streams to RTMP players. The connection itself, its commands and its
// acknowledgements are the listener's; this package has the media.
package rtmp

import (
	"context"
	"net"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Conn is a player's connection after play has been answered.
type Conn interface {
	// StreamID is the message stream that it plays on.
	StreamID() uint32
	// Write sends whole messages.
	Write(bufs *net.Buffers) error
	// Receives tells whether the player wants a track: receiveAudio, receiveVideo.
	Receives(packetbuf.Track) bool
	// Paused tells whether it wants nothing at all.
	Paused() bool
}

// ChunkSize is the chunk size that the listener announces to players.
const ChunkSize = 4096

// The chunk streams of media: the listener uses none of them.
const (
	dataChunks = 20 + iota
	audioChunks
	videoChunks
)

// commonStream is the message stream that nearly all players play on. Its bytes are shared.
const commonStream = 1

// Serve sends a stream to one player until it ends, the player leaves or ctx ends.
func Serve(ctx context.Context, r egress.Reader, c Conn, m egress.Meter) error {
	return egress.Run(ctx, r, &writer{conn: c}, m)
}

// writer implements egress.Writer.
type writer struct {
	conn    Conn
	last    uint32
	hadNone [packetbuf.NumTracks]bool // the player had switched the track off
}

// Paused implements egress.Writer.
func (w *writer) Paused() bool { return w.conn.Paused() }

// Append adds the message of p, unless the player has switched its track off. Video that was
// off comes back at a keyframe.
func (w *writer) Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers {
	if !w.conn.Receives(p.Track) && p.Kind != packetbuf.Config {
		w.hadNone[p.Track] = true
		return bufs
	}
	if w.hadNone[p.Track] && p.Media() {
		if p.Track == packetbuf.Video && p.Kind != packetbuf.Key {
			return bufs
		}
		w.hadNone[p.Track] = false
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

// appendPadding appends messages that players ignore, of a number of units in all.
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

// The messages of padding, the shortest and the longest, on the common message stream. All players
// share them.
var paddingUnit, paddingMost = func() (unit, most []byte) {
	one, _ := flv.PaddingBody(1)
	many, _ := flv.PaddingBody(packetbuf.MaxPadding)
	return padding(commonStream, one), padding(commonStream, many)
}()

func padding(stream uint32, body []byte) []byte {
	h := rtmp.Header{ChunkStream: dataChunks, Stream: stream, Type: flv.TypeData}
	return rtmp.AppendMessage(nil, h, ChunkSize, body)
}

func shared(p *packetbuf.Packet) []byte { return message(p, commonStream) }

// message serialises p; nil if FLV's bodies cannot carry it.
func message(p *packetbuf.Packet, stream uint32) []byte {
	var scratch [32]byte
	header, err := flv.AppendBodyHeader(scratch[:0], p)
	if err != nil {
		return nil
	}
	h := rtmp.Header{ChunkStream: chunks(p.Track), Stream: stream, Type: flv.TagType(p.Track), Timestamp: p.Millis()}
	dst := make([]byte, 0, rtmp.MessageSize(h, ChunkSize, len(header)+len(p.Payload)))
	dst = rtmp.AppendMessage(dst, h, ChunkSize, header, p.Payload)
	if beside := flv.Beside(p); beside != nil {
		dst = rtmp.AppendMessage(dst, h, ChunkSize, beside)
	}
	return dst
}

func chunks(t packetbuf.Track) uint32 {
	switch t {
	case packetbuf.Audio:
		return audioChunks
	case packetbuf.Video:
		return videoChunks
	}
	return dataChunks
}

// Write sends what was appended.
func (w *writer) Write(bufs *net.Buffers) error { return w.conn.Write(bufs) }

// Idle does nothing: the listener pings its players.
func (w *writer) Idle() error { return nil }
