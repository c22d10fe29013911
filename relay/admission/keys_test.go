package admission

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/egress"
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

// uncounted counts nothing.
type uncounted struct{}

func (uncounted) Session(_, _ string)    {}
func (uncounted) Joined(_, _ string)     {}
func (uncounted) Admitted(time.Duration) {}

func guarded(r rules, next ingest.Access) *Admission {
	return New(Options{Rules: r, Publisher: next, Metrics: uncounted{}})
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
		{"name before key", two, ingest.Request{App: "live", Key: "third-key"}, ingest.RefusedName, "is not valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next := &open{}
			tt.request.Session = named("s")
			_, err := guarded(rules{keys: tt.keys}, next).Publish(t.Context(), tt.request)
			if tt.outcome == ingest.Accepted {
				if err != nil || next.admitted != 1 {
					t.Fatalf("got %v, %d admitted", err, next.admitted)
				}
				return
			}
			var refusal *ingest.Refusal
			if !errors.As(err, &refusal) || refusal.Outcome != tt.outcome || !strings.Contains(refusal.Reason+refusal.Detail, tt.says) || next.admitted != 0 {
				t.Fatalf("got %v, %d admitted", err, next.admitted)
			}
			for _, secret := range append(tt.keys, tt.request.Key) {
				if secret != "" && strings.Contains(err.Error(), secret) {
					t.Errorf("%q contains a key", err)
				}
			}
		})
	}
}

// A right key is admitted at once, however many wrong ones of its address are being delayed.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := &open{}
		p := guarded(rules{keys: []string{"right"}}, next)
		try := func(ctx context.Context, key string) error {
			_, err := p.Publish(ctx, ingest.Request{App: "live", Name: "cam", Key: key, Remote: "[2001:db8::1]:1", Session: named("s")})
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		var guessing sync.WaitGroup
		for range 20 {
			guessing.Go(func() {
				for ctx.Err() == nil {
					var refusal *ingest.Refusal
					if err := try(ctx, "wrong"); !errors.As(err, &refusal) && ctx.Err() == nil {
						t.Errorf("a wrong key: got %v", err)
					}
				}
			})
		}
		for range 10 {
			time.Sleep(10 * time.Second)
			begun := time.Now()
			if err := try(ctx, "right"); err != nil || time.Since(begun) > 0 {
				t.Errorf("the right key: got %v after %v", err, time.Since(begun))
			}
			if err := try(ctx, ""); err == nil || time.Since(begun) > 0 {
				t.Errorf("no key: got %v after %v", err, time.Since(begun))
			}
		}
		cancel()
		guessing.Wait()
	})
}

// Invalid play tokens are answered late; expired ones and those for other streams are not.
func TestGuessedTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := guarded(rules{secret: secret}, nil)
		exp := time.Now().Add(time.Hour)
		signed := func(key, stm string, exp time.Time) string {
			return token(t, jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"exp": exp.Unix(), "stm": stm})
		}
		check := func(token string) (time.Time, time.Duration, error) {
			begun := time.Now()
			until, err := a.playToken(t.Context(), "live/cam", egress.Request{Token: token, Remote: "192.0.2.1:1"}, false)
			return until, time.Since(begun), err
		}
		guess := signed("another secret of thirty-two byte", "live/cam", exp)
		for range freeGuesses {
			if _, _, err := check(guess); err == nil {
				t.Fatal("a token of another secret is valid")
			}
		}
		for name, tt := range map[string]struct {
			token string
			late  bool
			ok    bool
		}{
			"right": {signed(secret, "live/cam", exp), false, true}, "guessed": {guess, true, false}, "none": {"", false, false},
			"expired": {signed(secret, "live/cam", time.Now().Add(-time.Second)), false, false}, "for another": {signed(secret, "live/b", exp), false, false},
		} {
			until, took, err := check(tt.token)
			if (took > 0) != tt.late || (err == nil) != tt.ok || tt.ok && !until.Equal(exp.Truncate(time.Second)) {
				t.Errorf("%s: got %v until %v, after %v", name, err, until, took)
			}
		}
	})
}

const secret = "a secret of thirty-two bytes....."

// token returns a play token; the method determines what key is.
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
			_, err := CheckPlayToken(rules{secret: secret}, "live/cam", tt.token)
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refusal *ingest.Refusal
			if !errors.As(err, &refusal) || refusal.Outcome != ingest.RefusedKey || !strings.Contains(refusal.Reason+refusal.Detail, tt.says) || refusal.Hint == "" {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), secret) || tt.token != "" && strings.Contains(err.Error(), tt.token) {
				t.Errorf("%q contains a secret", err)
			}
			if words := refusal.Words(); strings.ContainsAny(words, "=_") || strings.Contains(words, "JWT") || strings.Contains(words, "token") || refusal.Detail == "" {
				t.Errorf("a viewer reads %q, for programs there is %q", words, refusal.Detail)
			}
		})
	}
	if _, err := CheckPlayToken(rules{}, "live/cam", "whatever"); err != nil {
		t.Errorf("open: got %v", err)
	}
}

func TestTokenCoversRenditions(t *testing.T) {
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
		if got := covers(tt.pattern, tt.name); got != tt.want {
			t.Errorf("stm %s for %s: %v", tt.pattern, tt.name, got)
		}
	}
}

// A signed token admits to its stream until it expires.
func TestSign(t *testing.T) {
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, tt := range []struct {
		signedFor, name string
		ok              bool
	}{
		{"live/cam", "live/cam", true}, {"live/*", "live/cam", true}, {"live/cam", "live/cam~360p", true}, {"live/cam", "live/other", false},
	} {
		signed, err := SignPlayToken(secret, tt.signedFor, until)
		if err != nil {
			t.Fatal(err)
		}
		got, err := CheckPlayToken(rules{secret: secret}, tt.name, signed)
		if (err == nil) != tt.ok || tt.ok && !got.Equal(until) {
			t.Errorf("a token for %s at %s: until %v, %v, want %v", tt.signedFor, tt.name, got, err, until)
		}
	}
	expired, err := SignPlayToken(secret, "live/cam", time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	var refusal *ingest.Refusal
	if _, err := CheckPlayToken(rules{secret: secret}, "live/cam", ""); !errors.As(err, &refusal) || refusal.Words() != "This stream is private. Ask the person who shared it for a link." {
		t.Errorf("without a token: got %v", err)
	}
	if _, err := CheckPlayToken(rules{secret: secret}, "live/cam", expired); !errors.As(err, &refusal) || refusal.Words() != "This link has expired. Ask for a new one." {
		t.Errorf("expired: got %v", err)
	}
}
