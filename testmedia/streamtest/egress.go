// Package streamtest provides fakes that unit tests share.
package streamtest

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics counts what viewers do. It implements egress.Metrics. The zero value is ready to use.
type Metrics struct {
	Bytes atomic.Uint64 // bytes sent over all protocols
	First atomic.Int64  // viewers that received media

	mu      sync.Mutex // guards the fields below
	joins   []error
	resumes []string
}

// SentBytes returns the counter of bytes, which is the same for all protocols.
func (m *Metrics) SentBytes(string) *atomic.Uint64 { return &m.Bytes }

// FirstMedia counts a viewer that received its first media.
func (m *Metrics) FirstMedia(string, time.Duration) { m.First.Add(1) }

// Joined records the outcome of a request to play.
func (m *Metrics) Joined(_ string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joins = append(m.joins, err)
}

// Joins returns the recorded outcomes of requests to play.
func (m *Metrics) Joins() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]error(nil), m.joins...)
}

// Resumed records the outcome of a request to resume.
func (m *Metrics) Resumed(_, outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resumes = append(m.resumes, outcome)
}

// Resumes returns the recorded outcomes of requests to resume.
func (m *Metrics) Resumes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.resumes...)
}

// HTTP answers a refusal with a fixed status, and a problem with its text. It implements egress.HTTP.
type HTTP struct {
	RefusalStatus int    // status of Refuse; 0: 418
	RetryAfter    string // header of Refuse; empty: none
}

// Remote returns the remote address of the request.
func (HTTP) Remote(r *http.Request) string {
	return r.RemoteAddr
}

// Refuse writes the text of the error.
func (h HTTP) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	status := h.RefusalStatus
	if status == 0 {
		status = http.StatusTeapot
	}
	if h.RetryAfter != "" {
		w.Header().Set("Retry-After", h.RetryAfter)
	}
	http.Error(w, err.Error(), status)
}

// Problem writes a reason and a hint.
func (HTTP) Problem(w http.ResponseWriter, status int, reason, hint, _ string) {
	http.Error(w, reason+"; "+hint, status)
}
