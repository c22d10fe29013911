// Package auth decides who may publish and who may play.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-live/holdfast/ingest"
)

// Rules are what the configuration says about a stream, by its name {app}/{name}.
type Rules interface {
	PublishKeys(name string) []string // empty: open to everyone
	PlaySecret(name string) string    // empty: open to everyone
}

// Publishers admits pushes that have a key where one is asked for, and hands them on. It
// implements ingest.Access.
type Publishers struct {
	rules Rules
	name  func(app, name string) (string, error)
	next  ingest.Access
	tries *Tries
}

// NewPublishers guards next. The name rule comes first, so that what has no right name is
// refused for that.
func NewPublishers(rules Rules, name func(app, name string) (string, error), next ingest.Access) *Publishers {
	return &Publishers{rules: rules, name: name, next: next, tries: NewTries()}
}

// Publish implements ingest.Access.
func (p *Publishers) Publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	name, err := p.name(r.App, r.Name)
	if err != nil {
		return nil, err
	}
	keys := p.rules.PublishKeys(name)
	if len(keys) == 0 {
		return p.next.Publish(ctx, r)
	}
	switch {
	case Equal(r.Key, keys...):
		return p.next.Publish(ctx, r)
	case r.Key == "":
		return nil, denied("this stream needs a publish key", "append ?key=… to the stream name, or send it as Bearer")
	}
	if err := p.tries.Wrong(ctx, r.Remote); err != nil {
		return nil, err
	}
	return nil, denied("the publish key is wrong", "check the key in ?key=…")
}

// Equal reports whether a secret that a peer has shown is one of those wanted, in a time that depends
// neither on where it differs nor on which of them it is.
func Equal(got string, wanted ...string) bool {
	sum := sha256.Sum256([]byte(got))
	match := 0
	for _, w := range wanted {
		want := sha256.Sum256([]byte(w))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1
}

// Players checks the play tokens of viewers.
type Players struct {
	rules Rules
	tries *Tries
}

// NewPlayers returns Players that go by rules.
func NewPlayers(rules Rules) *Players { return &Players{rules: rules, tries: NewTries()} }

// Check checks a viewer's token for a stream, as PlayUntil does. The answer to a token that is not valid
// comes late where the address has sent several of them. Its error is a *ingest.Refusal, or ctx's.
func (p *Players) Check(ctx context.Context, name, token, remote string) (until time.Time, err error) {
	until, wrong, err := play(p.rules, name, token)
	if wrong {
		if err := p.tries.Wrong(ctx, remote); err != nil {
			return time.Time{}, err
		}
	}
	return until, err
}

// Play checks a viewer's token for a stream. Its error is a *ingest.Refusal.
func Play(rules Rules, name, token string) error {
	_, _, err := play(rules, name, token)
	return err
}

// PlayUntil is Play that returns when the token expires; the zero Time is never, where playing is open.
func PlayUntil(rules Rules, name, token string) (time.Time, error) {
	until, _, err := play(rules, name, token)
	return until, err
}

// play is PlayUntil; wrong reports whether the token could be a guess.
func play(rules Rules, name, token string) (until time.Time, wrong bool, err error) {
	secret := rules.PlaySecret(name)
	if secret == "" {
		return time.Time{}, false, nil
	}
	if token == "" {
		return time.Time{}, false, unwatchable("this stream is private", "ask the person who shared it for a link", "it needs a play token: append ?token=… or send it as Bearer")
	}
	claims := struct {
		Stream string `json:"stm"`
		jwt.RegisteredClaims
	}{}
	_, err = jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return time.Time{}, false, unwatchable("this link has expired", "ask for a new one", "the exp of the play token has passed")
	case err != nil:
		return time.Time{}, true, unwatchable("this link is not valid", "check that all of it was copied, or ask for a new one",
			"the play token is not valid: it has to be a JWT, HS256 with the stream's play_secret, with exp and stm")
	}
	if !opens(claims.Stream, name) {
		return time.Time{}, false, unwatchable("this link is for another stream", "ask for one for this stream", "the stm of the play token does not match "+name)
	}
	return claims.ExpiresAt.Time, false, nil
}

// opens reports whether a token for a stream or pattern is one for name. A rendition is opened by
// its stream's token, as it has its stream's settings.
func opens(pattern, name string) bool {
	parent, _, _ := strings.Cut(name, "~")
	for _, n := range []string{name, parent} {
		if ok, err := path.Match(pattern, n); err == nil && ok {
			return true
		}
	}
	return false
}

// unwatchable refuses a viewer in words that do not speak of tokens; detail does.
func unwatchable(reason, hint, detail string) error {
	return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: reason, Hint: hint, Detail: detail}
}

// Sign returns a play token for a stream {app}/{name}, or for all that a pattern matches. It expires at
// until, in whole seconds.
func Sign(secret, stream string, until time.Time) (string, error) {
	claims := struct {
		Stream string `json:"stm"`
		jwt.RegisteredClaims
	}{stream, jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(until)}}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
}

func denied(reason, hint string) error {
	return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: reason, Hint: hint}
}
