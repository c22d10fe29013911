package rendition

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// Bounds of what is kept of a child's words.
const (
	maxLines = 6
	maxLine  = 200 // bytes
)

// lastWords are the last lines that were written to it. It may be written and read at once.
type lastWords struct {
	mu   sync.Mutex // guards what follows
	last []string
	line []byte // not ended yet
}

// Write implements io.Writer. It never fails: a child must not stand still for what it says.
func (w *lastWords) Write(p []byte) (int, error) {
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

func (w *lastWords) flush() {
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

func (w *lastWords) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return slices.Clone(w.last)
}
