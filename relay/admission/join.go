package admission

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Join implements egress.Admission. It checks the viewer, waits for the viewer's turn, calls the
// hooks, and subscribes the viewer.
func (a *Admission) Join(ctx context.Context, r egress.Request) (egress.Subscription, egress.Grant, error) {
	r.Agent = a.opts.Redact(r.Agent)
	sub, grant, err := a.join(ctx, r)
	if !r.ReportsOutcome {
		a.CountJoin(r.Protocol, err)
	}
	if err != nil {
		return nil, grant, err
	}
	return sub, grant, nil
}

func (a *Admission) join(ctx context.Context, r egress.Request) (Subscription, egress.Grant, error) {
	if err := a.opts.ConnectionLimit(ctx); err != nil {
		return nil, egress.Grant{}, err
	}
	name, err := ingest.StreamName(r.App, r.Name)
	if err != nil {
		return nil, egress.Grant{}, err
	}
	t, err := a.checkTicket(ctx, name, r)
	grant := egress.Grant{Resumed: egress.None, Expired: t.verdict == resume.Expired}
	if err != nil {
		return nil, grant, err
	}
	sub, exact, err := a.subscribe(ctx, name, r, t)
	if err != nil {
		return nil, grant, err
	}
	if r.Resume != nil {
		if grant.Resumed = egress.Keyframe; exact {
			grant.Resumed = egress.Exact
		}
		grant.Known = t.verdict == resume.Good && t.claims.Life == sub.Origin().Life
	}
	if r.Resumable {
		if grant.Token, err = a.sealToken(name, t, sub.Origin()); err != nil {
			sub.Close()
			return nil, grant, err
		}
	}
	return sub, grant, nil
}

// subscribe subscribes a viewer with a valid ticket, when it is the viewer's turn and if the hooks
// allow it.
func (a *Admission) subscribe(ctx context.Context, name string, r egress.Request, t ticket) (sub Subscription, exact bool, err error) {
	if err := a.opts.Streams.Expects(name, r.Protocol); err != nil { // before any hook is called
		return nil, false, err
	}
	exists := a.opts.Streams.Life(name) != 0
	if exists || a.opts.Hooks.AsksPlay(name) { // waiting for a stream is cheap; calling hooks is not
		if err := a.waitTurn(ctx, r, t); err != nil {
			return nil, false, err
		}
	}
	if err := a.opts.Hooks.Play(ctx, name, r, t.identity(r)); err != nil { // also for a viewer that resumes
		return nil, false, err
	}
	if !exists {
		leave, err := a.absent.enter(r.Remote, name)
		if err != nil {
			return nil, false, err
		}
		defer leave()
	}
	if sub, exact, err = a.opts.Streams.Subscribe(ctx, r.App, r.Name, r.Protocol, t.position(r), r.Audio...); err != nil {
		return nil, false, a.markExpected(name, err)
	}
	if t.withoutTicket != nil && !a.sameShow(name, t) { // the stream ended while the viewer waited
		sub.Close()
		return nil, false, t.withoutTicket
	}
	sub.Expire(t.until)
	if exists {
		return sub, exact, nil
	}
	// The viewer waited for the stream, possibly with thousands of others.
	if err := a.waitTurn(ctx, r, t); err != nil {
		sub.Close()
		return nil, false, err
	}
	if !exact {
		sub.Skip()
	}
	return sub, exact, nil
}

// Read admits a client that reads the state of a stream. It checks the play token and calls the
// hooks, as for a viewer. It returns the stream's name and when the token expires. Hooks are called
// only for existing streams, and at most at the rate at which viewers may join.
func (a *Admission) Read(ctx context.Context, r egress.Request, exists func(stream string) bool) (name string, until time.Time, err error) {
	r.Agent = a.opts.Redact(r.Agent)
	if err := a.opts.ConnectionLimit(ctx); err != nil {
		return "", time.Time{}, err
	}
	if name, err = ingest.StreamName(r.App, r.Name); err != nil {
		return "", time.Time{}, err
	}
	t, err := a.checkTicket(ctx, name, r)
	if err != nil {
		return "", time.Time{}, err
	}
	if !exists(name) || !a.opts.Hooks.AsksPlay(name) {
		return name, t.until, nil
	}
	if err := a.joins.wait(ctx, r.Remote, false); err != nil {
		return "", time.Time{}, err
	}
	return name, t.until, a.opts.Hooks.Play(ctx, name, r, t.identity(r))
}

// waitTurn waits for the viewer's turn. Resuming viewers precede new ones. A viewer that is already
// watching does not wait.
func (a *Admission) waitTurn(ctx context.Context, r egress.Request, t ticket) error {
	if r.Priority == egress.ActiveViewer {
		return nil
	}
	return a.joins.wait(ctx, r.Remote, t.returning || r.Priority == egress.ReturningViewer)
}

// markExpected marks the refusal for a stream that is expected back after a restart of the
// relay.
func (a *Admission) markExpected(name string, err error) error {
	var refusal *ingest.Refusal
	if !errors.As(err, &refusal) || !refusal.NotLive || !a.opts.Streams.ExpectedBack(name) {
		return err
	}
	marked := *refusal
	marked.Expected, marked.RetryAfter = true, time.Second
	marked.Reason = "the stream " + name + " was live before the relay was restarted, and is expected back"
	marked.Hint = "try again in a moment"
	return &marked
}

// Outcomes of a request to play.
const (
	joined       = "joined"
	notLive      = "not_live"
	refusedName  = "refused_name"
	refusedKey   = "refused_key"
	refusedCodec = "refused_codec"
	refusedLimit = "refused_limit"
	noKeyframe   = string(ingest.NoKeyframe)
)

// JoinOutcomes returns all outcomes of a request to play, as label values of the metrics.
func JoinOutcomes() []string {
	return []string{joined, notLive, refusedName, refusedKey, refusedCodec, refusedLimit, noKeyframe}
}

// CountJoin counts a request to play by its outcome. A nil err means that the viewer was admitted.
func (a *Admission) CountJoin(protocol string, err error) {
	a.opts.Metrics.Joined(protocol, joinOutcome(err))
}

func joinOutcome(err error) string {
	var refusal *ingest.Refusal
	switch {
	case err == nil:
		return joined
	case !errors.As(err, &refusal) || refusal.NotLive:
		return notLive
	case refusal.Outcome == ingest.RefusedKey:
		return refusedKey
	case refusal.Outcome == ingest.RefusedCodec:
		return refusedCodec
	case refusal.Outcome == ingest.RefusedName:
		return refusedName
	case refusal.Outcome == ingest.NoKeyframe:
		return noKeyframe
	}
	return refusedLimit
}

// sealToken returns the token with which the viewer may resume.
func (a *Admission) sealToken(name string, t ticket, o Origin) (string, error) {
	var nonce [resume.NonceSize]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	c := resume.Claims{Stream: name, Viewer: t.viewer, Life: o.Life, Since: o.Seq, First: t.first, Until: t.until}
	return a.opts.Sealer.Seal(time.Now(), c, a.opts.Rules.PlaySecret(name), nonce)
}

// randomID returns a random number.
func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.BigEndian.Uint64(b[:])
}
