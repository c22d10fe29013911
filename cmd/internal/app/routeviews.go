package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/cmd/internal/redact"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/qos/snapshot"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/route"
)

// routeObserver forwards the events of routes to the log, the metrics, the hooks and the event API.
type routeObserver struct {
	metrics *prom.Metrics
	events  *api.Events
	log     *slog.Logger
	hooks   *hook.Hooks
	secrets *redact.Secrets // may be nil
	feeding *activeSessions
	failing failingRoutes
}

// Observe implements route.Observer.
func (o *routeObserver) Observe(e route.Event) {
	switch e.Type {
	case route.Dialed:
		o.metrics.Dialed(e.Group, e.Route, string(e.Outcome))
	case route.Switched:
		o.metrics.Switched(e.Group, e.Cause)
	case route.Level:
		o.metrics.Level(e.Group, e.Cause)
	case route.Carries, route.Broke, route.Decided, route.Ceiling:
	}
	e.Detail = o.secrets.Text(e.Detail) // it may contain text from a peer
	fields, session := routeFields(e), o.feeding.of(e.Stream)
	attrs := []slog.Attr{slog.String("stream", e.Stream)}
	if session != "" {
		attrs = append(attrs, slog.String("session", session))
	}
	shown := map[string]any{}
	for _, f := range fields {
		attrs = append(attrs, f)
		shown[f.Key] = f.Value.Any()
	}
	message := routeMessages[e.Type]
	if e.Type == route.Dialed {
		var failures int
		var lasted time.Duration
		if message, failures, lasted = o.failing.dialed(e); failures > 0 {
			attrs = append(attrs, slog.Int("failures", failures), slog.String("for", lasted.Round(time.Second).String()))
		}
	}
	level := routeLevel(e)
	if message == dialsAgain {
		level = slog.LevelInfo
	}
	if message != "" {
		o.log.LogAttrs(context.Background(), level, message, attrs...)
	}
	tellHooksOfRoutes(o.hooks, e, session)
	o.events.Publish(api.Event{Time: e.Time, Type: string(e.Type), Stream: e.Stream, Session: session, Fields: shown})
}

var routeMessages = map[route.EventType]string{
	route.Carries: "route carries the stream", route.Broke: "route broke",
	route.Decided: "route decision", route.Switched: "route switch", route.Level: "route level",
	route.Ceiling: "publisher to stay below a bitrate",
}

// routeLevel returns the log level of an event.
func routeLevel(e route.Event) slog.Level {
	switch e.Type {
	case route.Broke, route.Switched:
		return slog.LevelWarn
	case route.Dialed:
		if e.Outcome != qos.DialOK {
			return slog.LevelWarn
		}
		return slog.LevelDebug
	case route.Ceiling: // irrelevant for a publisher that cannot be asked
		return slog.LevelDebug
	case route.Carries, route.Decided, route.Level:
	}
	return slog.LevelInfo
}

// routeFields returns the fields of an event that are set, in the order in which they are logged.
func routeFields(e route.Event) []slog.Attr {
	var out []slog.Attr
	text := func(key, value string) {
		if value != "" {
			out = append(out, slog.String(key, value))
		}
	}
	text("group", e.Group)
	text("route", e.Route)
	text("from", e.From)
	text("outcome", string(e.Outcome))
	text("cause", e.Cause)
	switch e.Type {
	case route.Level:
		out = append(out, slog.String("rung", e.Rung.String()), slog.Int("level", e.Level))
	case route.Ceiling:
		out = append(out, slog.Float64("bitrate", e.Bits))
	case route.Dialed, route.Carries, route.Broke, route.Decided, route.Switched:
	}
	if e.Took > 0 {
		out = append(out, slog.Float64("seconds", milliseconds(e.Took)))
	}
	text("detail", e.Detail)
	return out
}

// milliseconds returns d in seconds, rounded up to a whole millisecond.
func milliseconds(d time.Duration) float64 {
	return float64((d+time.Millisecond-1)/time.Millisecond) / 1000
}

// routeGauges returns the measurements of a stream's routes in one group, for the metrics.
func routeGauges(s route.Status) []snapshot.Route {
	var out []snapshot.Route
	for i, r := range s.Routes {
		g := snapshot.Route{
			Stream: s.Stream, Group: s.Group, Route: r.Name, State: int(r.State),
			Backoff: time.Duration(r.Backoff * float64(time.Second)), Score: s.Connections[i].Score.Value, RTT: s.Connections[i].RTT,
		}
		if r.State == policy.Up {
			g.Level, g.Lag, g.Rate = s.Level, s.Line.Lag, s.Line.Rate
		}
		out = append(out, g)
	}
	return out
}
