package app

import (
	"context"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/auth"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// ticket is what a viewer is admitted by: its play token, a resume token or the name of a session.
// The latter two stand for the play token that they were given out for. They last no longer than it
// does, and no longer than the stream: one that has ended and is published again is another show.
type ticket struct {
	// verdict is that of the resume token, and claims are its claims. The claims of a token of a show
	// that is over count for nothing: its verdict is Invalid.
	verdict resume.Verdict
	claims  resume.Claims
	session resume.Verdict // of the session's name
	named   resume.Name
	returns bool      // the viewer was admitted before
	viewer  uint64    // the same over all resumes
	first   time.Time // when the viewer was admitted by its play token; the zero Time is now
	until   time.Time // when the play token expires; the zero Time is never
	// without is why the viewer would be refused without its resume token or session; nil: it would
	// not be.
	without error
}

// ticket checks what a viewer shows. Its error is a *ingest.Refusal, or ctx's.
func (p *playing) ticket(ctx context.Context, name string, r egress.Request) (ticket, error) {
	now, secret := time.Now(), p.rules.PlaySecret(name)
	t := ticket{viewer: number()}
	if r.Resume != nil {
		t.claims, t.verdict = p.sealer.Open(now, r.Resume.Token, name, secret)
	}
	if r.Session != "" {
		t.named, t.session = p.sealer.OpenName(now, r.Session, ingest.ParentStream(name), secret)
	}
	if t.verdict == resume.Good && p.life(name) != t.claims.Life {
		t.verdict = resume.Invalid
	}
	if t.session == resume.Good && p.familyLife(name) != t.named.Life {
		t.session = resume.Invalid
	}
	t.returns = t.verdict.Admits() || t.session.Admits()
	if t.verdict.Admits() {
		t.viewer = t.claims.Viewer
	}
	until, err := p.playToken(ctx, name, r, t.returns)
	switch {
	case err != nil && !t.returns:
		return t, err
	case err != nil:
		t.without = err
		t.first, t.until = t.claims.First, t.claims.Until
		if !t.verdict.Admits() {
			t.first, t.until = time.Time{}, t.named.Until
		}
	case secret != "":
		t.until = until
	case t.verdict.Admits(): // nothing but the resume token to count from
		t.first = t.claims.First
	}
	return t, nil
}

// playToken checks a viewer's play token. One that does not need it is not kept waiting for the answer.
func (p *playing) playToken(ctx context.Context, name string, r egress.Request, returns bool) (until time.Time, err error) {
	if returns {
		return auth.PlayUntil(p.rules, name, r.Token)
	}
	return p.tokens.Check(ctx, name, r.Token, r.Remote)
}

// continues reports whether the show is still the one of the resume token or session by which alone
// a viewer was admitted.
func (p *playing) continues(name string, t ticket) bool {
	if t.verdict.Admits() {
		return t.verdict == resume.Elsewhere || p.life(name) == t.claims.Life
	}
	return t.session == resume.Elsewhere || p.familyLife(name) == t.named.Life
}

// life is the number of the stream of that name; 0: there is none.
func (p *playing) life(name string) uint64 {
	if s := p.hub.Find(name); s != nil {
		return s.Life()
	}
	return 0
}

// familyLife is the life of the stream that a session is of: a session goes on with all renditions
// of a stream. A rendition without a stream has its own.
func (p *playing) familyLife(name string) uint64 {
	if life := p.life(ingest.ParentStream(name)); life != 0 {
		return life
	}
	return p.life(name)
}

// position returns where a viewer was cut off, or where it begins.
func (t ticket) position(r egress.Request) (at stream.Position) {
	if t.verdict == resume.Good && (r.Resume.DTS >= 0 || r.Resume.Seq > 0) {
		at = stream.Position{
			Origin: stream.Origin{Life: t.claims.Life, Seq: t.claims.Since}, Track: r.Resume.Track, DTS: r.Resume.DTS, Seq: r.Resume.Seq,
		}
	}
	at.Begin = begins(r, t.verdict)
	return at
}

// shown is what tells viewers apart for the hooks: the play token, or what stands for it. A secret.
func (t ticket) shown(r egress.Request) string {
	switch {
	case r.Token != "" || !t.returns:
		return r.Token
	case t.verdict.Admits():
		return "viewer " + strconv.FormatUint(t.viewer, 16)
	}
	return "session " + strconv.FormatUint(t.named.ID, 16)
}

// sessionNames names the sessions of HLS. It implements hls.Names.
type sessionNames struct{ p *playing }

// Name implements hls.Names.
func (n sessionNames) Name(stream string, until time.Time) string {
	name := resume.Name{Stream: ingest.ParentStream(stream), ID: number(), Life: n.p.familyLife(stream), Until: until}
	return n.p.sealer.SealName(name, n.p.rules.PlaySecret(stream))
}

// Issued implements hls.Names.
func (n sessionNames) Issued(stream, name string) bool {
	got, verdict := n.p.sealer.OpenName(time.Now(), name, ingest.ParentStream(stream), n.p.rules.PlaySecret(stream))
	return verdict == resume.Elsewhere || verdict == resume.Good && n.p.familyLife(stream) == got.Life
}
