package admission

import (
	"context"
	"errors"
	"strings"

	"github.com/holdfast-live/holdfast/ingest"
)

// Publish implements ingest.Access. It admits a publisher, passes it on, and counts the outcome. The
// error is an *ingest.Refusal, or that of ctx.
func (a *Admission) Publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	r.Agent = a.opts.Redact(r.Agent) // it appears in the API, hooks and events
	sink, err := a.publish(ctx, r)
	var refusal *ingest.Refusal
	switch {
	case err == nil:
		a.opts.Metrics.Session(r.Protocol, string(ingest.Accepted))
	case errors.As(err, &refusal):
		a.opts.Metrics.Session(r.Protocol, string(refusal.Outcome))
		a.opts.Refused(r, refusal)
	}
	return sink, err
}

func (a *Admission) publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	name, err := ingest.StreamName(r.App, r.Name)
	if err == nil && a.opts.PushedFrom(r.Remote) == name {
		return nil, errSelfPush(name)
	}
	if err := a.refuseSecretAsName(r); err != nil {
		return nil, err
	}
	if err != nil { // reported before the key is checked
		return nil, err
	}
	if err := a.checkKey(ctx, name, r); err != nil {
		return nil, err
	}
	if !isLayer(r) {
		if err := a.opts.Hooks.Publish(ctx, name, r); err != nil {
			return nil, err
		}
	}
	return a.opts.Publisher.Publish(ctx, r)
}

// errSelfPush returns the refusal of a push from the relay to itself, which would take over the
// stream that it pushes.
func errSelfPush(name string) error {
	return &ingest.Refusal{
		Outcome: ingest.RefusedKey, Reason: "this is the relay that pushes " + name + ": it would push it to itself",
		Hint: "change the URL of the push group's route",
	}
}

// checkKey checks a publisher's key, if the stream requires one.
func (a *Admission) checkKey(ctx context.Context, name string, r ingest.Request) error {
	keys := a.opts.Rules.PublishKeys(name)
	switch {
	case len(keys) == 0, Equal(r.Key, keys...):
		return nil
	case r.Key == "":
		return errNoKey()
	}
	if err := a.keys.Wrong(ctx, r.Remote); err != nil {
		return err
	}
	return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "the publish key is wrong", Hint: "check the key in ?key=…"}
}

func errNoKey() error {
	return &ingest.Refusal{
		Outcome: ingest.RefusedKey, Reason: "this stream needs a publish key", Hint: "append ?key=… to the stream name, or send it as Bearer",
	}
}

// refuseSecretAsName refuses a publisher without a key whose app or name is a configured secret, if
// the stream requires a key. The key was most likely pasted in the wrong place. The answer is the
// same as to any publisher without a key. If everyone may publish, the publisher is admitted,
// because a refusal would reveal that the name is a secret.
func (a *Admission) refuseSecretAsName(r ingest.Request) error {
	if r.Key != "" || !a.opts.IsSecret(r.App) && !a.opts.IsSecret(r.Name) {
		return nil
	}
	a.opts.Log.Warn("publish key sent as the name of a stream", "protocol", r.Protocol, "remote", r.Remote,
		"hint", "the name comes first, then the key: name?key=…; if others could see the name, make another key")
	if len(a.opts.Rules.PublishKeys(r.App+"/"+r.Name)) == 0 {
		return nil
	}
	return errNoKey()
}

// isLayer reports whether a publisher is a simulcast layer of a session for which the hooks have
// been called already. The media of that session waits for their answer.
func isLayer(r ingest.Request) bool {
	_, leaf, ok := strings.Cut(r.Name, "~")
	return ok && strings.HasSuffix(r.Session.ID(), "~"+leaf)
}
