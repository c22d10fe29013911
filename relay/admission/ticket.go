package admission

import (
	"context"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// ticket is a viewer's credential: its play token, its resume token, or the name of its HLS session.
// A resume token or session name replaces the play token for which it was issued. It is valid no
// longer than that token, and no longer than the stream: a stream that ends and is published again
// counts as another stream.
type ticket struct {
	// verdict and claims are the result for the resume token. If the token's stream has ended, verdict
	// is Invalid and claims are ignored.
	verdict   resume.Verdict
	claims    resume.Claims
	session   resume.Verdict // result for the session name
	named     resume.Name
	returning bool      // the viewer was admitted before
	viewer    uint64    // ID of the viewer, kept across resumes
	first     time.Time // when the viewer was admitted by its play token; the zero Time means now
	until     time.Time // when the play token expires; the zero Time means never
	// withoutTicket is the refusal that the viewer would get without its resume token or session name,
	// or nil.
	withoutTicket error
}

// checkTicket checks the viewer's credentials. The error is an *ingest.Refusal, or that of ctx.
func (a *Admission) checkTicket(ctx context.Context, name string, r egress.Request) (ticket, error) {
	now, secret := time.Now(), a.opts.Rules.PlaySecret(name)
	t := ticket{viewer: randomID()}
	if r.Resume != nil {
		t.claims, t.verdict = a.opts.Sealer.Open(now, r.Resume.Token, name, secret)
	}
	if r.Session != "" {
		t.named, t.session = a.opts.Sealer.OpenName(now, r.Session, ingest.ParentStream(name), secret)
	}
	if t.verdict == resume.Good && a.opts.Streams.Life(name) != t.claims.Life {
		t.verdict = resume.Invalid
	}
	if t.session == resume.Good && a.familyLife(name) != t.named.Life {
		t.session = resume.Invalid
	}
	t.returning = t.verdict.Admits() || t.session.Admits()
	if t.verdict.Admits() {
		t.viewer = t.claims.Viewer
	}
	until, err := a.playToken(ctx, name, r, t.returning)
	switch {
	case err != nil && !t.returning:
		return t, err
	case err != nil:
		t.withoutTicket = err
		t.first, t.until = t.claims.First, t.claims.Until
		if !t.verdict.Admits() {
			t.first, t.until = time.Time{}, t.named.Until
		}
	case secret != "":
		t.until = until
	case t.verdict.Admits(): // only the resume token has the time of the first admission
		t.first = t.claims.First
	}
	return t, nil
}

// playToken checks a viewer's play token and returns when it expires. The refusal of an invalid
// token is delayed if the address has sent several, except if the viewer does not need the token.
func (a *Admission) playToken(ctx context.Context, name string, r egress.Request, returns bool) (until time.Time, err error) {
	until, wrong, err := checkPlayToken(a.opts.Rules, name, r.Token)
	if wrong && !returns {
		if err := a.tokens.Wrong(ctx, r.Remote); err != nil {
			return time.Time{}, err
		}
	}
	return until, err
}

// sameShow reports whether the stream is still the one for which the resume token or session name
// was issued. It is used if that alone admitted the viewer.
func (a *Admission) sameShow(name string, t ticket) bool {
	if t.verdict.Admits() {
		return t.verdict == resume.Elsewhere || a.opts.Streams.Life(name) == t.claims.Life
	}
	return t.session == resume.Elsewhere || a.familyLife(name) == t.named.Life
}

// familyLife returns the serial number of the parent stream, because a session is valid for all
// renditions of a stream. If the parent does not exist, it returns the serial number of the
// rendition.
func (a *Admission) familyLife(name string) uint64 {
	if life := a.opts.Streams.Life(ingest.ParentStream(name)); life != 0 {
		return life
	}
	return a.opts.Streams.Life(name)
}

// position returns where the viewer was cut off, or where it starts.
func (t ticket) position(r egress.Request) (at Position) {
	if t.verdict == resume.Good && (r.Resume.DTS >= 0 || r.Resume.Seq > 0) {
		at = Position{
			Origin: Origin{Life: t.claims.Life, Seq: t.claims.Since}, Track: r.Resume.Track, DTS: r.Resume.DTS, Seq: r.Resume.Seq,
		}
	}
	at.Begin = r.Begin
	if t.verdict == resume.Good && r.Resume.Chunks {
		at.Begin = egress.Anywhere
	}
	return at
}

// identity returns what identifies the viewer to the hooks: the play token, or a replacement for it.
// It is a secret.
func (t ticket) identity(r egress.Request) string {
	switch {
	case r.Token != "" || !t.returning:
		return r.Token
	case t.verdict.Admits():
		return "viewer " + strconv.FormatUint(t.viewer, 16)
	}
	return "session " + strconv.FormatUint(t.named.ID, 16)
}

// SessionName returns a new name for a viewer's HLS session, valid for a stream and its renditions.
// It is valid until the play token expires; the zero Time means forever. The name replaces the
// token, and is a secret.
func (a *Admission) SessionName(stream string, until time.Time) string {
	name := resume.Name{Stream: ingest.ParentStream(stream), ID: randomID(), Life: a.familyLife(stream), Until: until}
	return a.opts.Sealer.SealName(name, a.opts.Rules.PlaySecret(stream))
}

// IssuedSession reports whether a session name was issued for a stream, or for its parent if it is a
// rendition, and is still valid.
func (a *Admission) IssuedSession(stream, name string) bool {
	got, verdict := a.opts.Sealer.OpenName(time.Now(), name, ingest.ParentStream(stream), a.opts.Rules.PlaySecret(stream))
	return verdict == resume.Elsewhere || verdict == resume.Good && a.familyLife(stream) == got.Life
}
