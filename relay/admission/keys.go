package admission

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"path"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-live/holdfast/ingest"
)

// Equal reports whether a secret from a peer equals one of the wanted secrets. Its running time does
// not depend on where they differ or which of them matches.
func Equal(got string, wanted ...string) bool {
	sum := sha256.Sum256([]byte(got))
	match := 0
	for _, w := range wanted {
		want := sha256.Sum256([]byte(w))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	return match == 1
}

// CheckPlayToken checks a viewer's play token for a stream and returns when it expires, or the zero
// Time if everyone may play. The error is an *ingest.Refusal.
func CheckPlayToken(rules Rules, name, token string) (until time.Time, err error) {
	until, _, err = checkPlayToken(rules, name, token)
	return until, err
}

// checkPlayToken is like CheckPlayToken. wrong reports whether the token may be an attempt to guess
// one.
func checkPlayToken(rules Rules, name, token string) (until time.Time, wrong bool, err error) {
	secret := rules.PlaySecret(name)
	if secret == "" {
		return time.Time{}, false, nil
	}
	if token == "" {
		return time.Time{}, false, errUnwatchable("this stream is private", "ask the person who shared it for a link", "it needs a play token: append ?token=… or send it as Bearer")
	}
	claims := struct {
		Stream string `json:"stm"`
		jwt.RegisteredClaims
	}{}
	_, err = jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return time.Time{}, false, errUnwatchable("this link has expired", "ask for a new one", "the exp of the play token has passed")
	case err != nil:
		return time.Time{}, true, errUnwatchable("this link is not valid", "check that all of it was copied, or ask for a new one",
			"the play token is not valid: it has to be a JWT, HS256 with the stream's play_secret, with exp and stm")
	}
	if !covers(claims.Stream, name) {
		return time.Time{}, false, errUnwatchable("this link is for another stream", "ask for one for this stream", "the stm of the play token does not match "+name)
	}
	return claims.ExpiresAt.Time, false, nil
}

// covers reports whether a token for a stream name or pattern is valid for name. A stream's token is
// also valid for its renditions, which share its settings.
func covers(pattern, name string) bool {
	for _, n := range []string{name, ingest.ParentStream(name)} {
		if ok, err := path.Match(pattern, n); err == nil && ok {
			return true
		}
	}
	return false
}

// errUnwatchable returns a refusal. reason and hint are worded for viewers and do not mention
// tokens; detail does.
func errUnwatchable(reason, hint, detail string) error {
	return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: reason, Hint: hint, Detail: detail}
}

// SignPlayToken returns a play token for a stream {app}/{name}, or for all streams that match a
// pattern. It expires at time until, in whole seconds.
func SignPlayToken(secret, stream string, until time.Time) (string, error) {
	claims := struct {
		Stream string `json:"stm"`
		jwt.RegisteredClaims
	}{stream, jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(until)}}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
}
