package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/route"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// wireHooks creates the configured hooks.
func (a *App) wireHooks(registry prometheus.Registerer) error {
	count, err := prom.NewHooks(registry, texts(hook.Types()), texts(hook.Outcomes()))
	if err != nil {
		return err
	}
	a.hooks = hook.New(hook.Options{
		Log: component(a.log, "hook"), Count: func(t hook.Type, o hook.Outcome) { count(string(t), string(o)) },
	})
	a.hooks.Reload(hooks(a.settings.get()))
	return nil
}

func hooks(cfg *configs.Config) []hook.Hook {
	var out []hook.Hook
	for _, h := range cfg.Hooks {
		to := hook.Hook{
			URL: h.URL, Secret: h.Secret, Match: h.Match, Timeout: h.Timeout, Deny: h.OnError == "deny", Insecure: h.Insecure, Cache: h.Cache,
		}
		for _, e := range h.Events {
			to.Events = append(to.Events, hook.Type(e))
		}
		out = append(out, to)
	}
	return out
}

// stopHooks sends the queued events and stops the hooks. It uses at most half of the time until the
// deadline of ctx, so that the rest remains for the parts stopped after it.
func (a *App) stopHooks(ctx context.Context) error {
	if until, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(until)/2)
		defer cancel()
	}
	a.hooks.Close(ctx)
	return nil
}

// hookAccess asks the hooks about publishers and viewers. It implements admission.Hooks.
type hookAccess struct {
	hooks *hook.Hooks
}

// AsksPlay implements admission.Hooks.
func (h hookAccess) AsksPlay(stream string) bool {
	return h.hooks.Asks(hook.Event{Type: hook.Play, Stream: stream})
}

// Play implements admission.Hooks.
func (h hookAccess) Play(ctx context.Context, stream string, r egress.Request, identity string) error {
	return h.hooks.Ask(ctx, hook.Event{Type: hook.Play, Stream: stream, Protocol: r.Protocol, Remote: r.Remote, Agent: r.Agent}, identity)
}

// Publish implements admission.Hooks.
func (h hookAccess) Publish(ctx context.Context, stream string, r ingest.Request) error {
	return h.hooks.Ask(ctx, hook.Event{
		Type: hook.Publish, Stream: stream, Session: r.Session.ID(), Role: role(r.Backup), Protocol: r.Protocol, Remote: r.Remote, Agent: r.Agent,
	}, r.Key)
}

// role returns the name of a publisher's role, as in the API and in hooks.
func role(backup bool) string {
	if backup {
		return "backup"
	}
	return "primary"
}

// tellHooks notifies the hooks of a stream's event, if it is of a type that hooks can receive.
func tellHooks(hooks *hook.Hooks, e stream.Event) {
	out := hook.Event{
		Time: e.Time, Stream: e.Stream, Session: e.Session, Role: role(e.Backup), Standby: e.Standby, After: e.After, Protocol: e.Protocol, Remote: e.Remote,
		Cause: string(e.Cause), Detail: e.Detail, Outage: e.Outage.Seconds(),
	}
	switch e.Type {
	case stream.Broke:
		if out.Type = hook.Break; e.Cause == ingest.Unpublish {
			out.Type = hook.Unpublish
		}
	case stream.Resumed:
		out.Type = hook.Resume
	case stream.BackupOn, stream.BackupOff:
		out.Type = hook.Backup
	case stream.Published, stream.Refused, stream.State, stream.TrackSilent, stream.Ended, stream.Changed:
		return
	}
	hooks.Tell(out)
}

// tellHooksOfRoutes notifies the hooks if the event is a switch to another route.
func tellHooksOfRoutes(hooks *hook.Hooks, e route.Event, session string) {
	if e.Type == route.Switched {
		hooks.Tell(hook.Event{
			Type: hook.RouteSwitch, Time: e.Time, Stream: e.Stream, Session: session, Group: e.Group, Route: e.Route, From: e.From,
			Cause: e.Cause, Detail: e.Detail,
		})
	}
}
