package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-live/holdfast/ingest"
)

// rules are the same for all streams.
type rules struct {
	keys   []string
	secret string
}

func (r rules) PublishKeys(string) []string { return r.keys }
func (r rules) PlaySecret(string) string    { return r.secret }

// open admits everyone.
type open struct{ admitted int }

func (o *open) Publish(context.Context, ingest.Request) (ingest.Sink, error) {
	o.admitted++
	return nil, nil
}

func names(app, name string) (string, error) {
	if name == "" {
		return "", &ingest.Refusal{Outcome: ingest.RefusedName, Reason: "no name"}
	}
	return app + "/" + name, nil
}

func TestPublish(t *testing.T) {
	two := []string{"first-key", "second-key"}
	for _, tt := range []struct {
		name    string
		keys    []string
		request ingest.Request
		outcome ingest.Outcome
		says    string
	}{
		{"open", nil, ingest.Request{App: "live", Name: "cam"}, ingest.Accepted, ""},
		{"open, with a key", nil, ingest.Request{App: "live", Name: "cam", Key: "any"}, ingest.Accepted, ""},
		{"first key", two, ingest.Request{App: "live", Name: "cam", Key: "first-key"}, ingest.Accepted, ""},
		{"second key", two, ingest.Request{App: "live", Name: "cam", Key: "second-key"}, ingest.Accepted, ""},
		{"the same key twice", []string{"k", "k"}, ingest.Request{App: "live", Name: "cam", Key: "k"}, ingest.Accepted, ""},
		{"no key", two, ingest.Request{App: "live", Name: "cam"}, ingest.RefusedKey, "needs a publish key"},
		{"wrong key", two, ingest.Request{App: "live", Name: "cam", Key: "third-key"}, ingest.RefusedKey, "wrong"},
		{"beginning of a key", two, ingest.Request{App: "live", Name: "cam", Key: "first"}, ingest.RefusedKey, "wrong"},
		{"other case", two, ingest.Request{App: "live", Name: "cam", Key: "First-Key"}, ingest.RefusedKey, "wrong"},
		{"name before key", two, ingest.Request{App: "live", Key: "third-key"}, ingest.RefusedName, "no name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next := &open{}
			_, err := NewPublishers(rules{keys: tt.keys}, names, next).Publish(t.Context(), tt.request)
			if tt.outcome == ingest.Accepted {
				if err != nil || next.admitted != 1 {
					t.Fatalf("%v, %d admitted", err, next.admitted)
				}
				return
			}
			var refusal *ingest.Refusal
			if !errors.As(err, &refusal) || refusal.Outcome != tt.outcome || !strings.Contains(refusal.Reason, tt.says) || next.admitted != 0 {
				t.Fatalf("%v, %d admitted", err, next.admitted)
			}
			for _, secret := range append(tt.keys, tt.request.Key) {
				if secret != "" && strings.Contains(err.Error(), secret) {
					t.Errorf("%q tells a key", err)
				}
			}
		})
	}
}

// Whoever guesses has to wait; others and other streams do not.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &open{}
		p := NewPublishers(rules{keys: []string{"right"}}, names, next)
		try := func(remote, key string) *ingest.Refusal {
			_, err := p.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Key: key, Remote: remote})
			var refusal *ingest.Refusal
			if err != nil && !errors.As(err, &refusal) {
				t.Fatal(err)
			}
			return refusal
		}
		const guesser, neighbour = "[2001:db8::1]:1", "[2001:db8:0:1::1]:1"
		for range most {
			if r := try(guesser, "wrong"); r == nil || r.RetryAfter != 0 {
				t.Fatal(r)
			}
		}
		// A right guess among many wrong ones must not show.
		if r := try("[2001:db8::2]:1", "right"); r == nil || r.RetryAfter != window || r.Outcome != ingest.RefusedKey {
			t.Errorf("the same network: %+v", r)
		}
		if r := try(neighbour, "right"); r != nil {
			t.Errorf("another network: %v", r)
		}
		time.Sleep(window)
		if r := try(guesser, "right"); r != nil {
			t.Errorf("a window later: %v", r)
		}
	})
}

const secret = "a secret of thirty-two bytes....."

// token makes a play token; the method decides what key means.
func token(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPlay(t *testing.T) {
	soon, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Second).Unix()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func(stm any) string {
		return token(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": soon, "stm": stm})
	}
	signed := func(c jwt.MapClaims) string { return token(t, jwt.SigningMethodHS256, []byte(secret), c) }
	right := jwt.MapClaims{"exp": soon, "stm": "live/cam"}
	for _, tt := range []struct {
		name, token string
		says        string // empty: allowed
	}{
		{"the stream", good("live/cam"), ""},
		{"a pattern", good("live/*"), ""},
		{"all", good("*/*"), ""},
		{"a class", good("live/c[a-c]m"), ""},
		{"not before", signed(jwt.MapClaims{"exp": soon, "stm": "live/cam", "nbf": past}), ""},
		{"none", "", "needs a play token"},
		{"another stream", good("live/other"), "another stream"},
		{"a star does not cross", good("*"), "another stream"},
		{"a rendition", good("live/cam~360p"), "another stream"},
		{"bad pattern", good("live/[cam"), "another stream"},
		{"no stm", signed(jwt.MapClaims{"exp": soon}), "another stream"},
		{"stm no text", good(7), "not valid"},
		{"stm a list", good([]string{"live/cam"}), "not valid"},
		{"expired", signed(jwt.MapClaims{"exp": past, "stm": "live/cam"}), "expired"},
		{"no exp", signed(jwt.MapClaims{"stm": "live/cam"}), "not valid"},
		{"exp no number", signed(jwt.MapClaims{"exp": "soon", "stm": "live/cam"}), "not valid"},
		{"later", signed(jwt.MapClaims{"exp": soon, "nbf": soon, "stm": "live/cam"}), "not valid"},
		{"wrong secret", token(t, jwt.SigningMethodHS256, []byte(secret+"x"), right), "not valid"},
		{"wrong secret and expired", token(t, jwt.SigningMethodHS256, []byte("x"), jwt.MapClaims{"exp": past}), "not valid"},
		{"alg none", token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, right), "not valid"},
		{"alg HS512", token(t, jwt.SigningMethodHS512, []byte(secret), right), "not valid"},
		{"alg RS256", token(t, jwt.SigningMethodRS256, private, right), "not valid"},
		{"cut", good("live/cam")[:40], "not valid"},
		{"noise", "a.b.c", "not valid"},
		{"dots", strings.Repeat(".", 10_000), "not valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Play(rules{secret: secret}, "live/cam", tt.token)
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refusal *ingest.Refusal
			if !errors.As(err, &refusal) || refusal.Outcome != ingest.RefusedKey || !strings.Contains(refusal.Reason, tt.says) || refusal.Hint == "" {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), secret) || tt.token != "" && strings.Contains(err.Error(), tt.token) {
				t.Errorf("%q tells a secret", err)
			}
		})
	}
	if err := Play(rules{}, "live/cam", "whatever"); err != nil {
		t.Errorf("open: %v", err)
	}
}

func TestRenditionOpensWithItsStreamsToken(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"live/cam", "live/cam~360p", true},
		{"live/cam~360p", "live/cam~360p", true},
		{"live/*", "live/cam~360p", true},
		{"live/cam~360p", "live/cam", false},
		{"live/cam~480p", "live/cam~360p", false},
		{"[", "live/cam", false},
	} {
		if got := opens(tt.pattern, tt.name); got != tt.want {
			t.Errorf("stm %s for %s: %v", tt.pattern, tt.name, got)
		}
	}
}
