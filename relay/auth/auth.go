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
	now := time.Now()
	if wait := p.tries.Blocked(now, r.Remote); wait > 0 {
		return nil, &ingest.Refusal{
			Outcome: ingest.RefusedKey, Reason: "too many wrong keys from this address",
			Hint: "wait " + wait.Round(time.Second).String() + " and use the right key", RetryAfter: wait,
		}
	}
	if !anyOf(keys, r.Key) {
		p.tries.Failed(now, r.Remote)
		reason, hint := "the publish key is wrong", "check the key in ?key=…"
		if r.Key == "" {
			reason, hint = "this stream needs a publish key", "append ?key=… to the stream name, or send it as Bearer"
		}
		return nil, &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: reason, Hint: hint}
	}
	return p.next.Publish(ctx, r)
}

// anyOf compares in a time that does not depend on where the key differs, nor on which of
// them it is.
func anyOf(keys []string, got string) bool {
	sum := sha256.Sum256([]byte(got))
	match := 0
	for _, k := range keys {
		want := sha256.Sum256([]byte(k))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1
}

// Play checks a viewer's token for a stream. Its error is a *ingest.Refusal.
func Play(rules Rules, name, token string) error {
	secret := rules.PlaySecret(name)
	if secret == "" {
		return nil
	}
	if token == "" {
		return denied("this stream needs a play token", "append ?token=… or send it as Bearer")
	}
	claims := struct {
		Stream string `json:"stm"`
		jwt.RegisteredClaims
	}{}
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return denied("the play token has expired", "get a new one")
	case err != nil:
		return denied("the play token is not valid", "it has to be a JWT, HS256, with exp and stm")
	}
	if !opens(claims.Stream, name) {
		return denied("the play token is for another stream", "its stm has to match "+name)
	}
	return nil
}

// opens tells whether a token for a stream or pattern is one for name. A rendition is opened by
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

func denied(reason, hint string) error {
	return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: reason, Hint: hint}
}
