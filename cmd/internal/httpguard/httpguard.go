// Package httpguard limits how long a client can occupy a connection of an HTTP server without reading or
// sending anything.
package httpguard

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Handler returns a handler that calls next with time limits on reading the request's body and on each
// write of the response. The body must arrive within bodyTimeout. The limit is needed even if next does not
// read the body, because net/http waits for it before it responds.
func Handler(next http.Handler, bodyTimeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if r.Body != http.NoBody {
			_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		answer := &timedAnswer{ResponseWriter: w, control: control, multiplexed: r.ProtoMajor >= 2}
		if !answer.multiplexed {
			_ = control.SetWriteDeadline(time.Now().Add(answerTimeout)) // also of an answer without a body
		}
		next.ServeHTTP(answer, r)
		answer.finish()
	})
}

// answerTimeout is how long a write of a response may block if its handler sets no deadline. It keeps a
// client that does not read from occupying its slot.
const answerTimeout = 30 * time.Second

// timedAnswer is an http.ResponseWriter that sets a deadline for each write. Handlers that write for a long
// time set their own deadlines, which take precedence.
//
// In HTTP/2, net/http resets a stream at its write deadline even if nothing is being written. There,
// timedAnswer applies deadlines only during writes, including those set by a handler.
type timedAnswer struct {
	http.ResponseWriter
	control     *http.ResponseController
	multiplexed bool // HTTP/2
	set         time.Time
	own         atomic.Int64 // the handler's own deadline in nanoseconds since 1970; 0 if none
	writing     atomic.Bool
}

// SetWriteDeadline sets a handler's own deadline, which is then not extended. http.ResponseController calls
// it. The zero Time removes the deadline, so that the default applies again. SetWriteDeadline is safe for
// concurrent use.
func (w *timedAnswer) SetWriteDeadline(t time.Time) error {
	own := int64(0)
	if !t.IsZero() {
		own = t.UnixNano()
	}
	w.own.Store(own)
	if w.multiplexed && !w.writing.Load() {
		return nil // beginWrite sets it
	}
	if own == 0 {
		t = time.Now().Add(answerTimeout)
	}
	return w.control.SetWriteDeadline(t)
}

// beginWrite sets the deadline of a write. It ignores errors, because a write on a closed connection fails
// anyway.
func (w *timedAnswer) beginWrite() {
	w.writing.Store(true)
	for i := 0; ; i++ {
		own := w.own.Load()
		now := time.Now()
		until := time.Unix(0, own)
		switch {
		case w.multiplexed:
			if own == 0 {
				until = now.Add(answerTimeout)
			}
		case own != 0 && i == 0:
			return // SetWriteDeadline has set it
		case own == 0:
			if now.Sub(w.set) < answerTimeout/4 {
				return
			}
			w.set, until = now, now.Add(answerTimeout)
		}
		_ = w.control.SetWriteDeadline(until)
		if w.own.Load() == own {
			return // the handler set its own meanwhile, which must stay
		}
	}
}

// finish sets a deadline that gives net/http time to write what it has buffered, if the connection is
// HTTP/2. It is needed because the handler's own deadline may have passed since its last write.
func (w *timedAnswer) finish() {
	if !w.multiplexed {
		return
	}
	until := time.Now().Add(answerTimeout)
	if own := w.own.Load(); own != 0 {
		until = time.Unix(0, max(own, time.Now().Add(time.Second).UnixNano()))
	}
	_ = w.control.SetWriteDeadline(until)
}

func (w *timedAnswer) endWrite() {
	w.writing.Store(false)
	if w.multiplexed {
		_ = w.control.SetWriteDeadline(time.Time{})
	}
}

// Unwrap returns the underlying ResponseWriter, for http.ResponseController.
func (w *timedAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *timedAnswer) WriteHeader(status int) {
	w.beginWrite()
	defer w.endWrite()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *timedAnswer) Write(b []byte) (int, error) {
	w.beginWrite()
	defer w.endWrite()
	return w.ResponseWriter.Write(b)
}

// FlushError sends buffered data to the client, with a deadline. http.ResponseController calls it.
func (w *timedAnswer) FlushError() error {
	w.beginWrite()
	defer w.endWrite()
	return w.control.Flush()
}
