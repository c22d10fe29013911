package signal

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
)

const candidate = "a=candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host\r\n"

// restartFragment returns a fragment with credentials and a candidate.
func restartFragment(ufrag string) string {
	return "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:" + strings.Repeat("n", 22) + "\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n" + candidate
}

func TestTrickle(t *testing.T) {
	for _, c := range []struct {
		name, match, fragment string
		status                int
	}{
		{"with the tag", "TAG", candidate, 204},
		{"with its own credentials", "TAG", restartFragment("them"), 204},
		{"in a list", `"other", TAG ,W/"x"`, candidate, 204},
		{"an empty one", "TAG", "", 204},
		{"without a tag", "", candidate, 428},
		{"with another tag", `"other"`, candidate, 412},
		{"with the tag unquoted", "BARE", candidate, 412},
		{"with the tag, but weak", "W/TAG", candidate, 412},
		{"with other credentials", "TAG", restartFragment("new1"), 409},
		{"malformed", "TAG", "what is this", 400},
		{"with one credential", "TAG", "a=ice-ufrag:abcd\r\n", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newFakeEndpoint(t)
			path, tag, s := h.opened(t)
			match := strings.ReplaceAll(strings.ReplaceAll(c.match, "TAG", tag), "BARE", strings.Trim(tag, `"`))
			a := h.patch(t, path, c.fragment, match)
			wantStatus(t, a, c.status)
			switch {
			case c.status == 204 && (len(s.trickled) != 1 || a.body != "" || a.Header.Get("ETag") != ""):
				t.Errorf("got trickled %v, response %q %v", s.trickled, a.body, a.Header)
			case c.status != 204 && len(s.trickled) != 0:
				t.Errorf("got trickled %v", s.trickled)
			}
			if s.restarts != 0 || s.deletes != 0 {
				t.Errorf("got %d restarts, %d deletes", s.restarts, s.deletes)
			}
			wantStatus(t, h.patch(t, path, candidate, tag), 204)
		})
	}
}

// TestTrickleLines sends the tags in several header lines, as a proxy may split them.
func TestTrickleLines(t *testing.T) {
	h := newFakeEndpoint(t)
	path, tag, _ := h.opened(t)
	wantStatus(t, h.do(t, http.MethodPatch, path, candidate, "Content-Type", fragType, "If-Match", `"other"`, "If-Match", tag), 204)
}

func TestTrickleRefused(t *testing.T) {
	h := newFakeEndpoint(t)
	path, tag, s := h.opened(t)
	s.fail(fmt.Errorf("%w: no", rtcsock.ErrCandidate))
	wantStatus(t, h.patch(t, path, candidate, tag), 400)
	wantStatus(t, h.do(t, http.MethodPatch, path, candidate, "Content-Type", sdpType, "If-Match", tag), 415)
	wantStatus(t, h.patch(t, path, strings.Repeat("x", maxBody+1), tag), 413)
	wantStatus(t, h.patch(t, path+"x", candidate, tag), 404)
	s.fail(nil)
	wantStatus(t, h.patch(t, path, candidate, tag), 204)
}

func TestRestart(t *testing.T) {
	h := newFakeEndpoint(t)
	path, tag, s := h.opened(t)
	for i := range 3 {
		a := h.patch(t, path, restartFragment(fmt.Sprintf("new%d", i)), "*")
		wantStatus(t, a, 200)
		wantHeader(t, a, "Content-Type", fragType)
		wantHeader(t, a, "Cache-Control", "no-store")
		f, err := rtcsock.ParseFragment(a.body)
		if err != nil || f.Ufrag != "ours" || f.Pwd == "" || !f.End {
			t.Errorf("got response %q: %+v, %v", a.body, f, err)
		}
		next := a.Header.Get("ETag")
		if next == "" || next == tag || strings.HasPrefix(next, "W/") {
			t.Errorf("got tag %q after %q, want a new one", next, tag)
		}
		stale := h.patch(t, path, candidate, tag)
		wantStatus(t, stale, 412)
		wantStatus(t, h.patch(t, path, candidate, next), 204)
		tag = next
	}
	if s.restarts != 3 {
		t.Errorf("got %d restarts", s.restarts)
	}
}

// TestRestartFails checks that a failed restart keeps the session and its tag.
func TestRestartFails(t *testing.T) {
	h := newFakeEndpoint(t)
	path, tag, s := h.opened(t)
	wantStatus(t, h.patch(t, path, restartFragment("them"), "*"), 400) // the old credentials
	wantStatus(t, h.patch(t, path, candidate, "*"), 400)               // no credentials
	for _, c := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("%w: no", rtcsock.ErrOffer), 400},
		{fmt.Errorf("%w: no", rtcsock.ErrCandidate), 400},
		{errors.New("no memory"), 500},
	} {
		s.fail(c.err)
		a := h.patch(t, path, restartFragment("new1"), "*")
		wantStatus(t, a, c.status)
		if strings.Contains(a.body, "memory") {
			t.Errorf("got internal error %q in the response", a.body)
		}
		s.fail(nil)
		wantStatus(t, h.patch(t, path, candidate, tag), 204)
	}
	if s.deletes != 0 || h.Sessions() != 1 {
		t.Errorf("got %d deletes, %d sessions", s.deletes, h.Sessions())
	}
}

func TestDelete(t *testing.T) {
	h := newFakeEndpoint(t)
	path, tag, s := h.opened(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost} {
		a := h.do(t, method, path, "")
		wantStatus(t, a, 405)
		wantHeader(t, a, "Allow", "PATCH, DELETE, OPTIONS")
	}
	wantStatus(t, h.do(t, http.MethodDelete, path, ""), 200)
	if s.deletes != 1 {
		t.Errorf("got %d deletes", s.deletes)
	}
	wantStatus(t, h.do(t, http.MethodDelete, path, ""), 404)
	wantStatus(t, h.patch(t, path, candidate, tag), 404)
	wantStatus(t, h.patch(t, path, restartFragment("new1"), "*"), 404)
	if s.deletes != 1 || h.Sessions() != 0 || h.pending.total != 0 {
		t.Errorf("got %d deletes, %d sessions, %d pending", s.deletes, h.Sessions(), h.pending.total)
	}
}
