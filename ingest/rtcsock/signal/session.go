package signal

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

// serveSession handles a request for the resource of a session.
func (h *Handler) serveSession(w http.ResponseWriter, r *http.Request, id string) {
	if r.Method == http.MethodOptions {
		w.Header().Set("Accept-Patch", fragType)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	res := h.resource(id)
	if res == nil {
		h.options.Problem(w, http.StatusNotFound, "there is no such session", "it has ended; POST a new offer")
		return
	}
	switch r.Method {
	case http.MethodPatch:
		h.patch(w, r, res)
	case http.MethodDelete:
		res.mu.Lock()
		s := res.session
		res.mu.Unlock()
		if s == nil { // not answered yet, so the client cannot know the session
			h.options.Problem(w, http.StatusNotFound, "there is no such session", "wait for the answer to the offer")
			return
		}
		s.Delete()
		h.forget(id)
		w.WriteHeader(http.StatusOK)
	default:
		w.Header().Set("Allow", "PATCH, DELETE, OPTIONS")
		h.options.Problem(w, http.StatusMethodNotAllowed, r.Method+" is not for a session", "PATCH candidates, or DELETE it")
	}
}

// patch adds candidates or restarts ICE (RFC 9725, 4.3). If-Match decides which: it is the entity
// tag of the ICE session that the candidates belong to, or * for a restart.
func (h *Handler) patch(w http.ResponseWriter, r *http.Request, res *resource) {
	text, ok := h.readBody(w, r, fragType)
	if !ok {
		return
	}
	match := strings.Join(r.Header.Values("If-Match"), ",")
	if match == "" {
		h.options.Problem(w, http.StatusPreconditionRequired, "If-Match is missing",
			"send the ETag of the session with candidates, or * to restart ICE")
		return
	}
	f, err := rtcsock.ParseFragment(text)
	if err != nil {
		h.options.Problem(w, http.StatusBadRequest, err.Error(), "send "+fragType+" as in RFC 8840")
		return
	}
	res.mu.Lock()
	defer res.mu.Unlock()
	switch {
	case res.session == nil:
		h.options.Problem(w, http.StatusNotFound, "there is no such session", "wait for the answer to the offer")
	case strings.Trim(match, ` "`) == "*": // drafts of the RFC quote it
		h.restart(w, r, res, f)
	case !containsTag(match, res.tag):
		w.Header().Set("ETag", res.tag)
		h.options.Problem(w, http.StatusPreconditionFailed, "the ICE session has changed", "use the ETag of the last answer")
	case f.Ufrag != "" && f.Ufrag != res.session.RemoteUfrag():
		h.options.Problem(w, http.StatusConflict, "the candidates are of another ICE session", "to restart ICE send If-Match: *")
	default:
		h.trickle(w, res, f)
	}
}

func (h *Handler) trickle(w http.ResponseWriter, res *resource, f rtcsock.Fragment) {
	err := res.session.Trickle(f)
	if errors.Is(err, rtcsock.ErrTooMany) {
		h.writeTooMany(w)
		return
	}
	if err != nil {
		h.options.Problem(w, http.StatusBadRequest, err.Error(), "send candidates as in RFC 8839")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) restart(w http.ResponseWriter, r *http.Request, res *resource, f rtcsock.Fragment) {
	if f.Ufrag == "" || f.Ufrag == res.session.RemoteUfrag() {
		h.options.Problem(w, http.StatusBadRequest, "a restart needs other ICE credentials", "send new ice-ufrag and ice-pwd")
		return
	}
	answer, err := res.session.Restart(r.Context(), f)
	switch {
	case errors.Is(err, rtcsock.ErrTooMany):
		h.writeTooMany(w)
		return
	case errors.Is(err, rtcsock.ErrOffer), errors.Is(err, rtcsock.ErrCandidate):
		h.options.Problem(w, http.StatusBadRequest, err.Error(), "the session goes on as it was")
		return
	case err != nil:
		h.options.Log.Warn("ICE not restarted", "kind", h.options.Kind, "err", err)
		h.options.Problem(w, http.StatusInternalServerError, "ICE could not be restarted", "the session goes on as it was; try again, or POST a new offer")
		return
	}
	res.tag = `"` + randomID() + `"`
	w.Header().Set("Content-Type", fragType)
	w.Header().Set("ETag", res.tag)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, answer.String())
}

func (h *Handler) writeTooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	h.options.Problem(w, http.StatusTooManyRequests, "too many candidates or restarts", "the session goes on as it was; POST a new offer")
}

// containsTag reports whether a list of entity tags contains tag. Weak tags do not match (RFC 9110,
// 13.1.1).
func containsTag(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(one) == tag {
			return true
		}
	}
	return false
}

// RetryAfter sets the header Retry-After to d, rounded up to whole seconds. If d is 0, it sets
// nothing.
func RetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	}
}
