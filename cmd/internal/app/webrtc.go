package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/ingest/whip"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress/whep"
)

// peers holds the WebRTC servers of the relay.
type peers struct {
	sockets *rtcsock.Sockets
	whip    *whip.Server
	whep    *whep.Server
}

// startPeers opens the WebRTC sockets and serves publishers and viewers over them. It does nothing if no
// WebRTC address is configured, or no HTTP address for the signaling.
func (a *App) startPeers(ctx context.Context, cfg *configs.Config) error {
	w := cfg.WebRTC
	if cfg.HTTP.Listen == "" || w.UDPListen == "" && w.TCPListen == "" {
		return nil
	}
	o := rtcsock.Options{PublicIPs: w.PublicIPs, Lite: w.ICELite, Log: component(a.log, "webrtc")}
	var lc net.ListenConfig
	if w.UDPListen != "" {
		c, err := lc.ListenPacket(ctx, "udp", w.UDPListen)
		if err != nil {
			return a.refusedAddress(listener{component: "webrtc", key: "webrtc.udp_listen", addr: w.UDPListen, suggestion: ":8190"}, err)
		}
		o.UDP = c.(*net.UDPConn) //nolint:forcetypeassert // what "udp" gives
		a.addrs["webrtc"] = c.LocalAddr()
	}
	if w.TCPListen != "" {
		l, err := lc.Listen(ctx, "tcp", w.TCPListen)
		if err != nil {
			if o.UDP != nil {
				_ = o.UDP.Close()
			}
			return a.refusedAddress(listener{component: "webrtc", key: "webrtc.tcp_listen", addr: w.TCPListen, suggestion: ":8190"}, err)
		}
		o.TCP = silentLimiter{a.slots.Listener(l)}
		a.addrs["webrtc-tcp"] = l.Addr()
	}
	sockets, err := rtcsock.New(o)
	if err != nil {
		return fmt.Errorf("webrtc: %w", err)
	}
	for _, c := range []string{"webrtc", "webrtc-tcp"} {
		if addr := a.addrs[c]; addr != nil {
			a.log.Info("listening", "component", c, "addr", addr.String())
		}
	}
	a.servePeers(sockets)
	return nil
}

// silentLimiter is a listener that closes connections above the limit without an answer, because ICE has
// no message for a rejection.
type silentLimiter struct{ net.Listener }

// Accept implements net.Listener.
func (l silentLimiter) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if r, ok := c.(interface{ Refusal() string }); !ok || r.Refusal() == "" {
			return c, nil
		}
		_ = c.Close()
	}
}

func (a *App) servePeers(sockets *rtcsock.Sockets) {
	log := component(a.log, "webrtc")
	a.relay.sockets.Store(sockets)
	a.peers.Store(&peers{
		sockets: sockets,
		whip: whip.New(whip.Options{
			Access: a.admission, Sockets: sockets, Take: a.takePublisherSlot, Problem: api.Problem, Remote: a.settings.remote, Links: a.iceServers, Log: log,
			Refused:    func(o ingest.Outcome) { a.metrics.Session(ingest.WHIP, string(o)) },
			Counters:   &a.relay.received,
			FirstMedia: func(app, name string) time.Duration { return a.settings.get().Stream(app + "/" + name).FirstMedia },
			KeyframeInterval: func(app, name string) time.Duration {
				return a.settings.get().Stream(app + "/" + name).KeyframeInterval
			},
		}),
		whep: whep.New(whep.Options{
			Admission: a.admission, HTTP: webAnswers{a.settings}, Metrics: a.viewers(), Sockets: sockets, Take: a.takeViewerSlot,
			Links: a.iceServers, Repeats: &a.relay.repeats, Log: log,
		}),
	})
}

// takePublisherSlot counts a WebRTC peer that publishes as a connection until release is called. It returns
// a refusal if the connection limits do not allow it.
func (a *App) takePublisherSlot(remote string) (release func(), refusal *ingest.Refusal) {
	return a.takeSlot(remote, true)
}

// takeViewerSlot is like takePublisherSlot, for a WebRTC peer that plays.
func (a *App) takeViewerSlot(remote string) (release func(), refusal *ingest.Refusal) {
	return a.takeSlot(remote, false)
}

func (a *App) takeSlot(remote string, publishes bool) (release func(), refusal *ingest.Refusal) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		at = netip.AddrPort{}
	}
	slot, ok := a.slots.TakeAddr(at)
	why := slot.Refusal
	switch {
	case why != "":
	case publishes:
		slot.Publish(true)
	default:
		why = slot.View()
	}
	if why == "" {
		return slot.Release, nil
	}
	if ok {
		slot.Release()
	}
	component(a.log, "webrtc").Warn("peer refused", "outcome", string(ingest.RefusedLimit), "reason", why, "hint", slot.Hint())
	return nil, limitRefusal(why)
}

func limitRefusal(why string) *ingest.Refusal {
	return &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: why, Hint: "close another connection, or try again later", RetryAfter: 10 * time.Second}
}

// quotedString returns a text as an HTTP quoted-string (RFC 9110, 5.6.4).
func quotedString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// stopPeers ends the sessions of all WebRTC peers, then closes the sockets.
func (a *App) stopPeers(ctx context.Context) error {
	p := a.peers.Load()
	if p == nil {
		return nil
	}
	return errors.Join(p.whip.Close(ctx), p.whep.Close(ctx), p.sockets.Close())
}

// servePeer serves requests of WHIP and WHEP. It returns false if the path belongs to neither.
func (a *App) servePeer(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) < 4 || parts[3] != "whip" && parts[3] != "whep" {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", "POST, PATCH, DELETE, OPTIONS")
	check := refused
	if parts[3] == "whip" {
		check = refusedPublisher
	}
	if err := check(r.Context()); err != nil && r.Method != http.MethodOptions {
		refuse(w, r, err)
		return true
	}
	switch p := a.peers.Load(); {
	case p == nil:
		api.Problem(w, http.StatusNotFound, "WebRTC is off", "set webrtc.udp_listen")
	case parts[3] == "whip":
		p.whip.ServeHTTP(w, r)
	default:
		p.whep.ServeHTTP(w, r)
	}
	return true
}
