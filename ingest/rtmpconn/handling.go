package rtmpconn

import (
	"sync/atomic"
	"time"
)

// maxHandling is how long bytes that were read may take to handle. After that their reader is
// taken to wait for something else, such as a peer that does not read its answers.
const maxHandling = 5 * time.Second

// Handling notes whether a reader waits for bytes or handles some. Its methods may be called
// from any goroutine.
type Handling struct {
	since atomic.Int64 // nanoseconds of the Unix epoch; 0: the reader waits
}

// Wait is called before a read.
func (h *Handling) Wait() { h.since.Store(0) }

// Begin is called after a read, which ended at now.
func (h *Handling) Begin(now time.Time) { h.since.Store(now.UnixNano()) }

// Active reports whether bytes are being handled at now.
func (h *Handling) Active(now time.Time) bool {
	since := h.since.Load()
	return since != 0 && now.Sub(time.Unix(0, since)) < maxHandling
}
