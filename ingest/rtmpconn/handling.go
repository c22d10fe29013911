package rtmpconn

import (
	"sync/atomic"
	"time"
)

// maxHandling is how long handling the bytes of one read may take. After that time, the reader is
// assumed to wait for something else, such as a peer that does not read its answers.
const maxHandling = 5 * time.Second

// Handling records whether a reader is waiting for bytes or handling received bytes. Its methods
// may be called from any goroutine.
type Handling struct {
	since atomic.Int64 // Unix time in nanoseconds; 0 while the reader waits
}

// Wait records that the reader waits. It must be called before a read.
func (h *Handling) Wait() { h.since.Store(0) }

// Begin records that the reader handles bytes. It must be called after a read, which ended at time
// now.
func (h *Handling) Begin(now time.Time) { h.since.Store(now.UnixNano()) }

// Active reports whether bytes are being handled at time now.
func (h *Handling) Active(now time.Time) bool {
	since := h.since.Load()
	return since != 0 && now.Sub(time.Unix(0, since)) < maxHandling
}
