// Package sse writes server-sent events (WHATWG HTML, section 9.2).
package sse

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Idle is the interval at which to call Comment while no events are sent, so that proxies keep the
// connection open.
const Idle = 15 * time.Second

// writeTimeout bounds one write. A client that reads nothing for that long is disconnected.
const writeTimeout = 2 * Idle

// Writer writes events to one client. After an error it writes nothing more.
type Writer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// NewWriter returns a Writer and sets the header of an event stream. The response starts with the
// first Event, Comment or Flush.
func NewWriter(w http.ResponseWriter) *Writer {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies such as nginx would hold events back
	return &Writer{w: w, control: http.NewResponseController(w)}
}

// Event writes an event, which Flush sends. id and kind may be empty. data must be a single line,
// such as JSON.
func (s *Writer) Event(id, kind, data string) {
	var b strings.Builder
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	if kind != "" {
		fmt.Fprintf(&b, "event: %s\n", kind)
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	s.write(b.String())
}

// Comment writes a comment, which clients ignore and Flush sends.
func (s *Writer) Comment(text string) { s.write(": " + text + "\n\n") }

func (s *Writer) write(text string) {
	if s.err != nil {
		return
	}
	if s.err = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); s.err == nil {
		_, s.err = s.w.Write([]byte(text))
	}
}

// Flush sends what was written and returns the first error of any write.
func (s *Writer) Flush() error {
	if s.err == nil {
		s.err = s.control.Flush()
	}
	return s.err
}
