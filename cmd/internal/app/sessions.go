package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/hls"
	"github.com/holdfast-live/holdfast/relay/egress/httpflv"
	"github.com/holdfast-live/holdfast/relay/egress/mse"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// resumeSection is where the state file has the key of resume tokens.
const resumeSection = "resume"

// resumeState is that section.
type resumeState struct {
	Version int    `json:"version"`
	Key     []byte `json:"key"` // a secret
}

// newSealer makes what seals resume tokens: with the configured key, else with the one that
// is kept in the state file, else with one that ends with the process. Each process is an
// instance of its own: what a viewer has had is known to none but it.
func newSealer(configured string, kept *state, log *slog.Logger) (*resume.Sealer, error) {
	key, err := base64.StdEncoding.DecodeString(configured)
	if err != nil {
		return nil, fmt.Errorf("resume.key: %w", err) // validated before
	}
	if len(key) == 0 {
		key = keptKey(kept, log)
	}
	s, err := resume.New(key, number())
	if err != nil {
		return nil, fmt.Errorf("resume.key: %w", err)
	}
	return s, nil
}

// keptKey is the key in the state file; a new one is kept there from now on.
func keptKey(kept *state, log *slog.Logger) []byte {
	var in resumeState
	if data := kept.section(resumeSection); data != nil {
		err := json.Unmarshal(data, &in)
		if err == nil && in.Version == 1 && len(in.Key) == resume.KeySize {
			return in.Key
		}
		log.Warn("the key of resume tokens cannot be read; viewers who come back start afresh", "err", err)
	}
	in = resumeState{Version: 1, Key: make([]byte, resume.KeySize)}
	_, _ = rand.Read(in.Key) // it never fails
	data, err := json.Marshal(in)
	if err == nil {
		err = kept.save(resumeSection, data)
	}
	if err != nil {
		log.Error("the key of resume tokens is not kept; it ends with this process", "err", err)
	}
	return in.Key
}

// number is a random one.
func number() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.BigEndian.Uint64(b[:])
}

// The outcomes of a wish to resume.
const resumeExpired = "expired"

func resumeOutcomes() []string {
	return []string{string(egress.Exact), string(egress.Keyframe), resumeExpired}
}

// Enter implements egress.Sessions.
func (p *playing) Enter(ctx context.Context, r egress.Request) (egress.Place, egress.Session, error) {
	place, s, err := p.enter(ctx, r)
	p.metrics.Joined(r.Protocol, outcome(err))
	if err != nil {
		return nil, egress.Session{}, err
	}
	return place, s, nil
}

// enter gives a viewer its place, where it was cut off if it can be, and a token to come back
// to it.
func (p *playing) enter(ctx context.Context, r egress.Request) (*stream.Reader, egress.Session, error) {
	name, err := ingest.StreamName(r.App, r.Name)
	if err != nil {
		return nil, egress.Session{}, err
	}
	place, t, exact, err := p.admit(ctx, r)
	if t.verdict == resume.Expired {
		p.metrics.ViewerResumed(r.Protocol, resumeExpired)
	}
	if err != nil {
		return nil, egress.Session{}, err
	}
	s := egress.Session{Resumed: egress.None}
	if r.Resume != nil {
		if s.Resumed = egress.Keyframe; exact {
			s.Resumed = egress.Exact
		}
		if t.verdict != resume.Expired {
			p.metrics.ViewerResumed(r.Protocol, string(s.Resumed))
		}
	}
	if s.Token, err = p.seal(name, t, place.Origin()); err != nil {
		place.Close()
		return nil, egress.Session{}, err
	}
	return place, s, nil
}

// seal makes the token with which a viewer may come back.
func (p *playing) seal(name string, t ticket, o stream.Origin) (string, error) {
	var nonce [resume.NonceSize]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	c := resume.Claims{Stream: name, Viewer: t.viewer, Life: o.Life, Since: o.Seq, First: t.first, Until: t.until}
	return p.sealer.Seal(time.Now(), c, p.rules.PlaySecret(name), nonce)
}

// admit lets a viewer in that has a ticket and that the hooks allow, in its turn.
func (p *playing) admit(ctx context.Context, r egress.Request) (place *stream.Reader, t ticket, exact bool, err error) {
	if err := refused(ctx); err != nil {
		return nil, ticket{}, false, err
	}
	name, err := ingest.StreamName(r.App, r.Name)
	if err != nil {
		return nil, ticket{}, false, err
	}
	if t, err = p.ticket(ctx, name, r); err != nil {
		return nil, t, false, err
	}
	if err := p.hub.Expects(name, r.Protocol); err != nil { // and no hook is asked about it
		return nil, t, false, err
	}
	there := p.hub.Find(name) != nil
	if there || p.asks(name) { // to wait for what is not there costs nothing, to ask does
		if err := p.turn(ctx, r, t.returns); err != nil {
			return nil, t, false, err
		}
	}
	if err := p.mayPlay(ctx, r, name, t); err != nil { // a viewer that resumes is asked about again
		return nil, t, false, err
	}
	if !there {
		leave, err := p.unknown.enter(r.Remote, name)
		if err != nil {
			return nil, t, false, err
		}
		defer leave()
	}
	place, exact, err = p.hub.Resume(ctx, r.App, r.Name, r.Protocol, t.position(r), r.Sound...)
	if err != nil {
		return nil, t, false, p.expected(name, err)
	}
	if t.without != nil && !p.continues(name, t) { // the show ended while the viewer waited
		place.Close()
		return nil, t, false, t.without
	}
	place.Expire(t.until)
	if there {
		return place, t, exact, nil
	}
	// It waited for the stream, as maybe thousands did.
	if err := p.turn(ctx, r, t.returns); err != nil {
		place.Close()
		return nil, t, false, err
	}
	if !exact {
		place.Skip()
	}
	return place, t, exact, nil
}

// begins returns where a viewer can begin. Chunks are cut and kept apart from the stream's buffer:
// viewers that have some may go on with those. Decoders of programs begin at recovery points; browsers,
// which play HTTP-FLV through Media Source, at keyframes alone.
func begins(r egress.Request, verdict resume.Verdict) stream.Begin {
	switch r.Protocol {
	case hls.Protocol:
		if r.Standing != egress.Begins {
			return stream.Anywhere
		}
	case mse.Protocol:
		if verdict == resume.Good {
			return stream.Anywhere
		}
	case ingest.RTMP, ingest.RTMPS:
		return stream.AtRecovery
	case httpflv.Protocol:
		if !strings.HasPrefix(r.Agent, "Mozilla/") {
			return stream.AtRecovery
		}
	}
	return stream.AtKeyframe
}

// turn waits for the turn of a viewer: one who resumes comes before one who begins, and who is
// watching already needs none.
func (p *playing) turn(ctx context.Context, r egress.Request, resumes bool) error {
	if r.Standing == egress.Stays {
		return nil
	}
	return p.turns.wait(ctx, r.Remote, resumes || r.Standing == egress.Returns)
}
