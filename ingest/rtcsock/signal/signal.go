// Package signal is the HTTP side of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep). It has an
// endpoint for offers, and a resource for each session. The resource accepts candidates, restarts
// ICE and ends the session.
package signal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

// Session is the session behind a resource.
type Session interface {
	// Trickle adds candidates of the peer.
	Trickle(rtcsock.Fragment) error
	// Restart restarts ICE with the peer's new credentials and returns the relay's.
	Restart(context.Context, rtcsock.Fragment) (rtcsock.Fragment, error)
	// RemoteUfrag returns the user name fragment of the peer's current ICE session.
	RemoteUfrag() string
	// Delete ends the session on the peer's request.
	Delete()
}

// Request is an offer.
type Request struct {
	App, Name string // as in the path, unescaped
	Offer     string
	Secret    string // Bearer, or the query's key or token
	Query     func(key string) string
	Remote    string // host:port of the peer, or of the client behind a trusted proxy
	Agent     string // at most 256 bytes
	ID        string // of the session; it is a secret, because it cannot be guessed
	// Notice adds a notice for viewers to the answer, in ASCII.
	Notice func(text string)
	// Enter must be called once, after admission and before a peer is created. It counts the
	// session as being set up, or returns a refusal if too many are.
	Enter func() error
	// Connected must be called when the peer has connected, and Ended when the session has ended.
	// Both may be called repeatedly and from any goroutine.
	Connected, Ended func()
}

// Options configure a Handler.
type Options struct {
	// Kind is the last part of the endpoint's path: whip or whep.
	Kind string
	// Open answers an offer. The error is a *ingest.Refusal, wraps rtcsock.ErrOffer, or is
	// unexpected. The text of an unexpected error is logged but not sent to the client.
	Open func(context.Context, Request) (s Session, answer string, err error)
	// Problem writes an error response in the relay's form.
	Problem func(w http.ResponseWriter, status int, reason, hint string)
	// Detailed is like Problem, for a refusal whose reason is written for viewers; detail is the
	// technical reason. It may be nil.
	Detailed func(w http.ResponseWriter, status int, reason, hint, detail string)
	// Remote returns the host:port of the peer or, behind trusted proxies, of the client.
	Remote func(*http.Request) string
	// Links returns the values of the Link headers that announce ICE servers. They may contain
	// credentials, so they are sent only with the answer to an offer.
	Links func() []string
	Log   *slog.Logger
}

// Handler serves an endpoint and its sessions.
type Handler struct {
	options Options
	pending *pending

	mu       sync.Mutex // guards the field below
	sessions map[string]*resource
}

// resource is the resource of a session. tag identifies its current ICE session.
type resource struct {
	session Session // nil until it is opened

	mu  sync.Mutex // serialises PATCH requests; guards tag
	tag string
}

// New returns a handler without sessions.
func New(o Options) *Handler {
	return &Handler{options: o, pending: newPending(), sessions: map[string]*resource{}}
}

// Match reports whether path is that of an endpoint, {app}/{name}/{kind}, or of a session,
// {app}/{name}/{kind}/{id}. It returns the components of the path.
func (h *Handler) Match(path string) (app, name, id string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	// With an empty part, addresses built from the path could lead to another host.
	if len(parts) < 3 || len(parts) > 4 || parts[0] == "" || parts[1] == "" || parts[2] != h.options.Kind {
		return "", "", "", false
	}
	if len(parts) == 4 {
		id = parts[3]
	}
	return parts[0], parts[1], id, true
}

// The content types of RFC 9725.
const (
	sdpType  = "application/sdp"
	fragType = "application/trickle-ice-sdpfrag"
)

// maxBody is the size of the longest body in bytes; Chromium's offer with simulcast has 12 KiB.
const maxBody = 128 << 10

// ServeHTTP implements http.Handler for the paths that Match accepts.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, name, id, ok := h.Match(r.URL.Path)
	switch {
	case !ok:
		h.options.Problem(w, http.StatusNotFound, "there is nothing at this address", "POST an offer to /{app}/{name}/"+h.options.Kind)
	case id != "":
		h.serveSession(w, r, id)
	case strings.HasSuffix(r.URL.Path, "/"): // the endpoint with a trailing slash
		to := *r.URL
		to.Path = strings.TrimSuffix(to.Path, "/")
		w.Header().Set("Location", to.RequestURI())
		w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		h.serveEndpoint(w, r, app, name)
	}
}

func (h *Handler) serveEndpoint(w http.ResponseWriter, r *http.Request, app, name string) {
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Accept-Post", sdpType) // no ICE servers: their credentials are for admitted peers
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPost:
		h.openSession(w, r, app, name)
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		h.options.Problem(w, http.StatusMethodNotAllowed, r.Method+" is not for this address", "POST an offer, as "+sdpType)
	}
}

// openSession answers an offer with a new session.
func (h *Handler) openSession(w http.ResponseWriter, r *http.Request, app, name string) {
	offer, ok := h.readBody(w, r, sdpType)
	if !ok {
		return
	}
	remote := h.options.Remote(r)
	id, setup := randomID(), &setup{pending: h.pending, remote: remote}
	res := &resource{tag: `"` + randomID() + `"`}
	ended := sync.OnceFunc(func() {
		setup.leave()
		h.forget(id)
	})
	h.mu.Lock()
	h.sessions[id] = res
	h.mu.Unlock()
	s, answer, err := h.options.Open(r.Context(), Request{
		App: app, Name: name, Offer: offer, Secret: requestSecret(r), Query: r.URL.Query().Get,
		Notice: func(text string) { w.Header().Set("Holdfast-Notice", text) },
		Remote: remote, Agent: truncate(r.UserAgent(), 256), ID: id, Enter: setup.enter, Connected: setup.leave, Ended: ended,
	})
	if err != nil {
		ended()
		h.writeRefusal(w, truncate(app+"/"+name, 160), remote, err)
		return
	}
	res.mu.Lock()
	res.session = s
	res.mu.Unlock()
	head := w.Header()
	head.Set("Content-Type", sdpType)
	head.Set("Location", r.URL.EscapedPath()+"/"+id)
	head.Set("ETag", res.tag)
	head.Set("Accept-Patch", fragType)
	head.Set("Cache-Control", "no-store")
	h.addLinks(w)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

func (h *Handler) addLinks(w http.ResponseWriter) {
	for _, l := range h.options.Links() {
		w.Header().Add("Link", l)
	}
}

// readBody reads a request body of the required type. If it cannot, it writes an error response.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, want string) (string, bool) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		h.options.Problem(w, http.StatusUnsupportedMediaType, "the content type is not "+want, "send Content-Type: "+want)
		return "", false
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		h.options.Problem(w, http.StatusRequestEntityTooLarge, "the description is too long", "it may have 128 KiB")
		return "", false
	case err != nil:
		h.options.Problem(w, http.StatusBadRequest, "the body could not be read", "send it whole, and at once")
		return "", false
	}
	return string(b), true
}

// writeRefusal writes the response to an offer that failed with err.
func (h *Handler) writeRefusal(w http.ResponseWriter, stream, remote string, err error) {
	var r *ingest.Refusal
	status := http.StatusServiceUnavailable
	switch {
	case errors.As(err, &r):
		status = statusOf(r)
	case errors.Is(err, rtcsock.ErrOffer):
		status = http.StatusBadRequest
		r = &ingest.Refusal{Reason: truncate(err.Error(), 200), Hint: "send an SDP offer of a WebRTC peer, with BUNDLE and DTLS"}
	default: // the error text is not for clients
		h.options.Log.Error("session not opened", "kind", h.options.Kind, "stream", stream, "err", err)
		r = &ingest.Refusal{Reason: "the relay cannot serve this now", Hint: "try again in a moment", RetryAfter: time.Second}
	}
	h.options.Log.Info(h.options.Kind+" refused", "stream", stream, "remote", remote, "status", status, "reason", cmp.Or(r.Detail, r.Reason))
	RetryAfter(w.Header(), r.RetryAfter)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="holdfast"`)
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.Detail != "" && h.options.Detailed != nil {
		h.options.Detailed(w, status, r.Reason, r.Hint, r.Detail)
		return
	}
	h.options.Problem(w, status, r.Reason, r.Hint)
}

// statusOf returns the HTTP status of a refusal. WHEP requires 409 for a stream that is not live.
func statusOf(r *ingest.Refusal) int {
	switch r.Outcome {
	case ingest.RefusedName:
		return http.StatusNotFound
	case ingest.RefusedKey:
		return http.StatusUnauthorized
	case ingest.RefusedTakeover:
		return http.StatusConflict
	case ingest.RefusedCodec:
		return http.StatusUnprocessableEntity
	}
	if r.NotLive {
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func (h *Handler) forget(id string) {
	h.mu.Lock()
	delete(h.sessions, id)
	h.mu.Unlock()
}

// resource returns a session's resource, or nil if the session does not exist.
func (h *Handler) resource(id string) *resource {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id]
}

// Sessions returns the number of sessions.
func (h *Handler) Sessions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions)
}

// randomID returns 128 random bits as text for a URL.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// requestSecret returns the credential in a request: a bearer token, or the query's key or token.
func requestSecret(r *http.Request) string {
	const scheme = "bearer "
	if a := r.Header.Get("Authorization"); len(a) > len(scheme) && strings.EqualFold(a[:len(scheme)], scheme) {
		return a[len(scheme):]
	}
	q := r.URL.Query()
	if key := q.Get("key"); key != "" {
		return key
	}
	return q.Get("token")
}

func truncate(s string, most int) string { return s[:min(len(s), most)] }
