package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress/httpflv"
	"github.com/holdfast-live/holdfast/relay/egress/page"
	"github.com/holdfast-live/holdfast/relay/hub"
)

// viewersHandler is what the viewers' address serves.
func (a *App) viewersHandler(flv http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cors(w.Header())
		if refused(r.Context()) != nil {
			w.Header().Set("Connection", "close")
		}
		if get := r.Method == http.MethodGet || r.Method == http.MethodHead; get && page.ServeFile(w, r) {
			return
		}
		if a.servePeer(w, r) || a.serveHLS(w, r) || a.serveMSE(w, r) || a.serveState(w, r) {
			return
		}
		_, _, isFLV := httpflv.Match(r.URL.Path)
		isPage := !isFLV && pageOf(r.URL.Path)
		switch {
		case !isFLV && !isPage:
			api.Problem(w, http.StatusNotFound, "there is nothing at this address",
				"watch a stream at /{app}/{name}/, or play /{app}/{name}.flv or /{app}/{name}/index.m3u8")
		case !reads(w, r, "use GET; publish over RTMP, or POST to /{app}/{name}/whip"):
		case isPage:
			page.ServeHTTP(w, r)
		default:
			flv.ServeHTTP(w, r)
		}
	})
}

// reads tells whether a request only reads. What does not is answered, with the hint where it is
// refused.
func reads(w http.ResponseWriter, r *http.Request, hint string) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		api.Problem(w, http.StatusMethodNotAllowed, "a stream can only be played here", hint)
	}
	return false
}

// pageOf tells whether a path is that of a stream's page, with a name that a stream can have.
func pageOf(path string) bool {
	app, name, ok := page.Match(path)
	if !ok {
		return false
	}
	_, err := hub.Name(app, name)
	return err == nil
}

// tooMany is the context's key of why a connection is one too many.
type tooMany struct{}

// connContext notes whether a connection is there only to be told that it is one too many.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if r, ok := c.(interface{ Refusal() string }); ok && r.Refusal() != "" {
		return context.WithValue(ctx, tooMany{}, r.Refusal())
	}
	return ctx
}

// refused is why nothing is served on the connection of ctx, or nil.
func refused(ctx context.Context) error {
	why, ok := ctx.Value(tooMany{}).(string)
	if !ok {
		return nil
	}
	return &ingest.Refusal{
		Outcome: ingest.RefusedLimit, Reason: why, Hint: "close another connection, or try again later", RetryAfter: 10 * time.Second,
	}
}

// impatient gives a request's body as much time as its header has: nothing here wants one, but
// net/http waits for it before it answers.
func impatient(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
		}
		next.ServeHTTP(w, r)
	})
}

// cors lets pages from anywhere play: who may is decided by token, not by origin.
func cors(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Range")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, Holdfast-Notice, Holdfast-Session, Holdfast-Resume")
	h.Set("Access-Control-Max-Age", "86400")
}

// refuse says a refusal in HTTP.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var r *ingest.Refusal
	if !errors.As(err, &r) { // what it says is not for strangers
		r = &ingest.Refusal{Reason: "the relay cannot serve this now", Hint: "try again in a moment", RetryAfter: time.Second}
	}
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((r.RetryAfter+time.Second-1)/time.Second)))
	}
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusServiceUnavailable
	switch {
	case r.NotLive && !r.Expected, r.Outcome == ingest.RefusedName:
		status = http.StatusNotFound
	case r.Outcome == ingest.RefusedKey:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="holdfast"`)
	}
	api.Problem(w, status, r.Reason, r.Hint)
}

// remote is the viewer's address: the peer's or, behind a proxy that is trusted, the last one
// in X-Forwarded-For that no trusted proxy has.
func (s *settings) remote(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !s.trusts(peer.Addr()) {
		return r.RemoteAddr
	}
	addr := r.RemoteAddr
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		addr = net.JoinHostPort(hop.String(), "0")
		if !s.trusts(hop) {
			return addr
		}
	}
	return addr
}

// trusts tells whether an address is a trusted proxy's.
func (s *settings) trusts(ip netip.Addr) bool {
	for _, t := range s.get().HTTP.TrustedProxies {
		if p, err := configs.ParseNetwork(t); err == nil && p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}
