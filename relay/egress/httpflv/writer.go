package httpflv

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// tagWriter turns packets into FLV tags.
type tagWriter struct {
	last uint32 // timestamp of the last tag
}

// Ready implements egress.Writer: HTTP has no pause.
func (w *tagWriter) Ready(context.Context) (bool, error) { return false, nil }

// Append implements egress.Writer.
func (w *tagWriter) Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers {
	tag := p.Serialized(packetbuf.FLVTag, flv.Tag)
	if len(tag) == 0 {
		return bufs
	}
	w.last = p.Millis()
	return append(bufs, tag)
}

// idleTag is a script tag that players do not know and pass over.
func (w *tagWriter) idleTag() []byte {
	tag, err := flv.AppendTag(nil, flv.TypeData, w.last, onIdle)
	if err != nil {
		return nil
	}
	return tag
}

// onIdle is the AMF0 string "onIdle" and null.
var onIdle = []byte{2, 0, 6, 'o', 'n', 'I', 'd', 'l', 'e', 5}

// rawWriter writes to a connection of its own.
type rawWriter struct {
	tagWriter
	deadline egress.Deadline
	tcp      bool   // writev works
	joined   []byte // over TLS: what one write sends
}

// Write implements egress.Writer.
func (w *rawWriter) Write(bufs *net.Buffers) error {
	if err := w.deadline.Extend(); err != nil {
		return err
	}
	if w.tcp {
		_, err := bufs.WriteTo(w.deadline.Conn)
		return err
	}
	w.joined = w.joined[:0]
	for _, b := range *bufs {
		w.joined = append(w.joined, b...)
	}
	_, err := w.deadline.Conn.Write(w.joined)
	const keep = 64 << 10
	if cap(w.joined) > keep {
		w.joined = nil // the burst at the start is not what to keep memory for
	}
	return err
}

// Idle implements egress.Writer.
func (w *rawWriter) Idle() error { return w.Write(&net.Buffers{w.idleTag()}) }

// responseWriter writes to a net/http response.
type responseWriter struct {
	tagWriter
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// Write implements egress.Writer.
func (w *responseWriter) Write(bufs *net.Buffers) error {
	if w.timeout > 0 {
		_ = w.control.SetWriteDeadline(time.Now().Add(w.timeout))
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
