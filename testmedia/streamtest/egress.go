// Package streamtest has the fakes that unit tests share.
package streamtest

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics counts what viewers do. It implements egress.Metrics; its zero value has counted nothing.
type Metrics struct {
	Bytes atomic.Uint64 // sent, by all protocols
	First atomic.Int64  // viewers that were sent media

	mu      sync.Mutex // guards what follows
	joins   []error
	resumes []string
}

// SentBytes returns the counter of all protocols.
func (m *Metrics) SentBytes(string) *atomic.Uint64 { return &m.Bytes }

// FirstMedia counts a viewer.
func (m *Metrics) FirstMedia(string, time.Duration) { m.First.Add(1) }

// Joined keeps the outcome of a request to play.
func (m *Metrics) Joined(_ string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joins = append(m.joins, err)
}

// Joins returns the outcomes that Joined was called with.
func (m *Metrics) Joins() []error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]error(nil), m.joins...)
}

// Resumed keeps the outcome of a request to resume.
func (m *Metrics) Resumed(_, outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resumes = append(m.resumes, outcome)
}

// Resumes returns the outcomes that Resumed was called with.
func (m *Metrics) Resumes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.resumes...)
}

// HTTP answers with a fixed status for refusals and the words of problems. It implements egress.HTTP.
type HTTP struct {
	RefusalStatus int    // of Refuse; 0: 418
	RetryAfter    string // of Refuse; empty: none
}

// Remote returns the address of the request's connection.
func (HTTP) Remote(r *http.Request) string {
	return r.RemoteAddr
}

// Refuse answers with the error's text.
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

// Problem answers with a reason and a hint.
func (HTTP) Problem(w http.ResponseWriter, status int, reason, hint, _ string) {
	http.Error(w, reason+"; "+hint, status)
}
