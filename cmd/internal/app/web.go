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
)

// viewersHandler returns the handler for all requests to http.listen.
func (a *App) viewersHandler(flv http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cors(w.Header())
		if why, hint := noSlot(r.Context(), a.publishes(r)); why != "" {
			component(a.log, "http").Warn("request refused", "outcome", string(ingest.RefusedLimit), "reason", why, "hint", hint, "remote", a.settings.remote(r))
			w.Header().Set("Connection", "close")
		}
		if get := r.Method == http.MethodGet || r.Method == http.MethodHead; get && page.ServeFile(w, r) {
			return
		}
		if a.servePeer(w, r) || a.serveHLS(w, r) || a.serveMSE(w, r) || a.serveState(w, r) {
			return
		}
		_, _, isFLV := httpflv.Match(r.URL.Path)
		if !isFLV && !strings.HasSuffix(r.URL.Path, "/") && a.serveElsewhere(w, r) {
			return
		}
		isPage := !isFLV && pageOf(r.URL.Path)
		switch {
		case !isFLV && !isPage:
			serveNotFound(w, r)
		case !reads(w, r, "use GET; publish over RTMP, or POST to /{app}/{name}/whip"):
		case isPage:
			page.ServeHTTP(w, r)
		default:
			flv.ServeHTTP(w, r)
		}
	})
}

// publishes reports whether the path of a request is one of WHIP.
func (a *App) publishes(r *http.Request) bool {
	parts := strings.Split(r.URL.Path, "/")
	return len(parts) >= 4 && parts[3] == "whip"
}

// reads reports whether the method of a request is GET or HEAD. Otherwise it answers the request: OPTIONS
// with success, and any other method with an error and the hint.
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

// pageOf reports whether a path is that of the page of a stream with a valid name.
func pageOf(path string) bool {
	app, name, ok := page.Match(path)
	if !ok {
		return false
	}
	_, err := ingest.StreamName(app, name)
	return err == nil
}

// slotKey is the context key of a connection's slot.
type slotKey struct{}

// connContext returns a context that contains the slot of the connection.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if s, ok := c.(interface{ Slot() ingest.Slot }); ok {
		return context.WithValue(ctx, slotKey{}, s.Slot())
	}
	return ctx
}

// connState marks idle connections as such. They are closed first when slots run out.
func connState(c net.Conn, state http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if s, ok := c.(interface{ Slot() ingest.Slot }); ok && (state == http.StateIdle || state == http.StateActive) {
		s.Slot().Idle(state == http.StateIdle)
	}
}

// refused returns an error if a viewer on the connection of ctx is refused because of the connection
// limits, otherwise nil.
func refused(ctx context.Context) error {
	slot, ok := ctx.Value(slotKey{}).(ingest.Slot)
	if !ok {
		return nil
	}
	return refusal(slot.View())
}

// noSlot returns the reason why the connection limits refuse a viewer, or a publisher if publishes is set,
// on the connection of ctx, and a hint for the log. Both are empty if the client is not refused.
func noSlot(ctx context.Context, publishes bool) (why, hint string) {
	slot, ok := ctx.Value(slotKey{}).(ingest.Slot)
	if !ok {
		return "", ""
	}
	if why = slot.Refusal; why == "" && !publishes {
		why = slot.View()
	}
	if why == "" {
		return "", ""
	}
	return why, slot.Hint()
}

// refusedPublisher returns an error if a publisher on the connection of ctx is refused because of the
// connection limits, otherwise nil.
func refusedPublisher(ctx context.Context) error {
	slot, _ := ctx.Value(slotKey{}).(ingest.Slot)
	return refusal(slot.Refusal)
}

func refusal(why string) error {
	if why == "" {
		return nil
	}
	return &ingest.Refusal{
		Outcome: ingest.RefusedLimit, Reason: why, Hint: "close another connection, or try again later", RetryAfter: 10 * time.Second,
	}
}

// cors sets headers that allow pages of any origin to play, because access depends on tokens, not on
// origins.
func cors(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Range")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, Holdfast-Notice, Holdfast-Session, Holdfast-Resume")
	h.Set("Access-Control-Max-Age", "86400")
}

// webAnswers answers the requests of viewers that are refused or fail. It implements egress.HTTP.
type webAnswers struct{ settings *settings }

// Remote implements egress.HTTP.
func (a webAnswers) Remote(r *http.Request) string { return a.settings.remote(r) }

// Refuse implements egress.HTTP.
func (webAnswers) Refuse(w http.ResponseWriter, r *http.Request, err error) { refuse(w, r, err) }

// Problem implements egress.HTTP.
func (webAnswers) Problem(w http.ResponseWriter, status int, reason, hint, detail string) {
	api.DetailedProblem(w, status, reason, hint, detail)
}

// refuse answers a request with the refusal in err. If err is not a refusal, it answers with a general
// error.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var r *ingest.Refusal
	if !errors.As(err, &r) { // internal errors are not shown to clients
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
	api.DetailedProblem(w, status, r.Reason, r.Hint, r.Detail)
}

// remote returns the client's address. This is the address of the peer or, if the peer is a trusted proxy,
// the last address in X-Forwarded-For that does not belong to a trusted proxy.
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

// sharedAddress reports whether many clients may share an address, because it belongs to a trusted proxy
// or to this machine.
func (s *settings) sharedAddress(ip netip.Addr) bool { return ip.IsLoopback() || s.trusts(ip) }

// newSlots returns the slots for all connections.
func newSlots(cfg *configs.Config, s *settings) *ingest.Slots {
	slots := ingest.NewSlots(cfg.Limits.Connections, cfg.Limits.PerAddress)
	slots.Share(s.sharedAddress)
	return slots
}

// trusts reports whether an address belongs to a trusted proxy.
func (s *settings) trusts(ip netip.Addr) bool {
	for _, t := range s.get().HTTP.TrustedProxies {
		if p, err := configs.ParseNetwork(t); err == nil && p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}
