package rendition

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// Limits of the lines that lastLines keeps.
const (
	maxLines = 6
	maxLine  = 200 // bytes
)

// lastLines keeps the last lines written to it. It is safe for concurrent use.
type lastLines struct {
	mu   sync.Mutex // guards the fields below
	last []string
	line []byte // incomplete line
}

// Write implements io.Writer. It never fails or blocks, so that the child does not block when it
// writes to its standard error.
func (w *lastLines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for {
		head, rest, ended := bytes.Cut(p, []byte{'\n'})
		w.line = append(w.line, head[:min(len(head), maxLine-len(w.line))]...)
		if !ended {
			return n, nil
		}
		w.flush()
		p = rest
	}
}

func (w *lastLines) flush() {
	line := strings.TrimSpace(strings.ToValidUTF8(string(w.line), "?"))
	w.line = w.line[:0]
	if line == "" {
		return
	}
	if len(w.last) == maxLines {
		w.last = slices.Delete(w.last, 0, 1)
	}
	w.last = append(w.last, line)
}

func (w *lastLines) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return slices.Clone(w.last)
}
