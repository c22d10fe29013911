package app

import (
	"context"
	"log/slog"

	"github.com/holdfast-live/holdfast/cmd/internal/redact"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress/status"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// observer forwards the events of streams to the log, the metrics, the hooks and the event API.
type observer struct {
	metrics *prom.Metrics
	events  *api.Events
	log     *slog.Logger
	states  *status.Board     // states for viewers
	live    func(name string) // called when a stream has gone live
	ended   func(name string) // called when a stream has ended
	hooks   *hook.Hooks
	secrets *redact.Secrets // may be nil
	feeding *activeSessions
	// names collects the names of live streams for the state file. returning learns which of the streams
	// expected back after a restart are live again.
	names     *hub.LiveNames
	returning *hub.Returning
}

// Observe implements stream.Observer.
func (o *observer) Observe(e stream.Event) {
	o.count(e)
	o.names.Observe(e)
	e = o.feeding.attribute(e)
	e.Detail = o.secrets.Text(e.Detail) // it may contain text from a peer
	fields := fieldsOf(e)
	attrs := []slog.Attr{slog.String("stream", e.Stream)}
	if e.Session != "" {
		attrs = append(attrs, slog.String("session", e.Session))
	}
	shown := map[string]any{}
	for _, f := range fields {
		attrs = append(attrs, f)
		shown[f.Key] = f.Value.Any()
	}
	level := levels[e.Type]
	if e.Cause == ingest.Unpublish {
		level = min(level, slog.LevelInfo) // a clean end needs no attention
	}
	o.log.LogAttrs(context.Background(), level, message(e), attrs...)
	tellHooks(o.hooks, e)
	o.events.Publish(api.Event{Time: e.Time, Type: string(e.Type), Stream: e.Stream, Session: e.Session, Fields: shown})
}

func (o *observer) count(e stream.Event) {
	switch e.Type {
	case stream.Published, stream.Refused:
		if e.Takeover != "" {
			o.metrics.Takeover(e.Takeover)
		}
	case stream.Broke:
		o.metrics.Broke(e.Protocol, string(e.Cause), e.Detect)
	case stream.Resumed:
		o.metrics.Resumed(e.Outage)
	case stream.State:
		if shown, ok := shownStates[e.To]; ok {
			o.states.Set(e.Time, e.Stream, shown, string(e.Cause))
		}
		if e.To == lifecycle.Live {
			o.returning.Back(e.Stream)
		}
		if e.To == lifecycle.Live && e.From == lifecycle.Idle {
			o.live(e.Stream)
		}
	case stream.Ended:
		o.ended(e.Stream)
	case stream.BackupOn:
		o.metrics.BackupSwitch("backup")
	case stream.BackupOff:
		o.metrics.BackupSwitch("primary")
	case stream.TrackSilent, stream.Changed:
	}
}

// shownStates maps the states of streams to those displayed to viewers. A suspect stream is displayed as
// live.
var shownStates = map[lifecycle.State]string{
	lifecycle.Live: status.Live, lifecycle.Suspect: status.Live, lifecycle.Held: status.Held, lifecycle.Ended: status.Ended,
}

var levels = map[stream.EventType]slog.Level{
	stream.Published: slog.LevelInfo, stream.Refused: slog.LevelDebug, stream.Broke: slog.LevelWarn,
	stream.Resumed: slog.LevelInfo, stream.State: slog.LevelDebug, stream.TrackSilent: slog.LevelWarn,
	stream.Ended: slog.LevelInfo, stream.Changed: slog.LevelInfo,
	stream.BackupOn: slog.LevelWarn, stream.BackupOff: slog.LevelInfo,
}

var messages = map[stream.EventType]string{
	stream.Published: "publish accepted", stream.Refused: "publish refused", stream.Broke: "push broke",
	stream.Resumed: "stream resumed", stream.State: "state", stream.TrackSilent: "track silence",
	stream.Ended: "stream ended", stream.Changed: "codec configuration changed",
	stream.BackupOn: "backup took over", stream.BackupOff: "primary has the stream back",
}

// message returns the log message for an event. It distinguishes a publisher that ended cleanly, or that
// the relay closed, from one that broke.
func message(e stream.Event) string {
	if e.Type == stream.Broke {
		switch e.Cause {
		case ingest.Unpublish:
			return "push ended"
		case ingest.Kick, ingest.Shutdown:
			return "push closed"
		}
	}
	return messages[e.Type]
}

// fieldsOf returns the fields of an event that are set, in the order in which they are logged.
func fieldsOf(e stream.Event) []slog.Attr {
	var out []slog.Attr
	text := func(key, value string) {
		if value != "" {
			out = append(out, slog.String(key, value))
		}
	}
	text("cause", string(e.Cause))
	if e.Type == stream.State {
		text("from", e.From.String())
		text("to", e.To.String())
	}
	if e.Backup && e.Type != stream.BackupOn {
		text("role", role(true))
	}
	if e.Standby {
		out = append(out, slog.Bool("standby", true))
	}
	text("after", e.After)
	text("track", e.Track)
	text("outcome", e.Outcome)
	text("takeover", e.Takeover)
	if e.Outage > 0 {
		out = append(out, slog.Float64("outage_seconds", milliseconds(e.Outage)))
	}
	if e.Detect > 0 {
		out = append(out, slog.Float64("detect_seconds", milliseconds(e.Detect)))
	}
	text("protocol", e.Protocol)
	text("remote", e.Remote)
	text("detail", e.Detail)
	return out
}
