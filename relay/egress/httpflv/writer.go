package httpflv

import (
	"net"
	"net/http"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// tagWriter converts packets to FLV tags.
type tagWriter struct {
	last uint32 // timestamp of the last tag
}

// Paused implements egress.Writer: HTTP has no pause.
func (w *tagWriter) Paused() bool { return false }

// Append implements egress.Writer.
func (w *tagWriter) Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers {
	tag := p.Serialized(packetbuf.FLVTag, flv.Tag)
	if len(tag) == 0 {
		return bufs
	}
	w.last = p.Millis()
	// The padding is placed before the tag: a viewer that resumes after a media packet must not
	// miss its padding.
	return append(flv.AppendPadding(bufs, int(p.Padding)), tag)
}

// idleTag returns a script tag that players ignore.
func (w *tagWriter) idleTag() []byte {
	tag, err := flv.AppendTag(nil, flv.TypeData, w.last, onIdle)
	if err != nil {
		return nil
	}
	return tag
}

// onIdle is the AMF0 encoding of the string "onIdle" and null.
var onIdle = []byte{2, 0, 6, 'o', 'n', 'I', 'd', 'l', 'e', 5}

// rawWriter writes to a hijacked connection.
type rawWriter struct {
	tagWriter
	conn     net.Conn
	deadline egress.Deadline
	gathers  bool   // conn writes several buffers in one system call
	joined   []byte // buffer that joins the bytes of a write, if it does not
}

// maxKept is the maximum size of a buffer that is kept between writes. The burst at the start must
// not occupy memory for as long as the viewer plays.
const maxKept = 64 << 10

// Write implements egress.Writer.
func (w *rawWriter) Write(bufs *net.Buffers) error {
	if err := w.deadline.Extend(); err != nil {
		return err
	}
	if w.gathers {
		_, err := bufs.WriteTo(w.conn)
		return err
	}
	w.joined = w.joined[:0]
	for _, b := range *bufs {
		w.joined = append(w.joined, b...)
	}
	_, err := w.conn.Write(w.joined)
	if cap(w.joined) > maxKept {
		w.joined = nil
	}
	return err
}

// Idle implements egress.Writer.
func (w *rawWriter) Idle() error { return w.Write(&net.Buffers{w.idleTag()}) }

// responseWriter writes to a net/http response.
type responseWriter struct {
	tagWriter
	w        http.ResponseWriter
	control  *http.ResponseController
	deadline egress.Deadline
}

// Write implements egress.Writer.
func (w *responseWriter) Write(bufs *net.Buffers) error {
	if err := w.deadline.Extend(); err != nil {
		return err
	}
	for _, b := range *bufs {
		if _, err := w.w.Write(b); err != nil {
			return err
		}
	}
	return w.control.Flush()
}

// Idle implements egress.Writer.
func (w *responseWriter) Idle() error { return w.Write(&net.Buffers{w.idleTag()}) }
