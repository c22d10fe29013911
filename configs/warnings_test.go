package configs

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWeakSecrets(t *testing.T) {
	const strong = "q7Zt0vXc2LrB9yKd4mWnE6sHj1uPaGf3"
	for text, want := range map[string][]string{
		"admin: {token: x}":                  {"admin.token"},
		"defaults: {publish_keys: [s3cret]}": {"defaults.publish_keys[0]"},
		"defaults: {play_secret: short, publish_keys: [" + strong + ", k]}":                                  {"defaults.play_secret", "defaults.publish_keys[1]"},
		"streams: [{match: 'a/*', publish_keys: [password123]}]\ndefaults: {publish_keys: [" + strong + "]}": {"streams[0].publish_keys[0]"},
		"hooks: [{url: 'http://h/', secret: 'change me'}]":                                                   {"hooks[0].secret"},
		"webrtc: {ice_servers: [{url: 'turn:h', secret: north}]}":                                            {"webrtc.ice_servers[0].secret"},
		"defaults: {play_secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}":                                    {"defaults.play_secret"},
		"defaults: {publish_keys: [my-holdfast-stream-key-1234]}":                                            {"defaults.publish_keys[0]"},
		"defaults: {publish_keys: [k]}\nstreams: [{match: 'a/*'}, {match: 'b/*', publish_keys: [k]}]":        {"defaults.publish_keys[0]"},
		"admin: {token: " + strong + "}\ndefaults: {play_secret: " + strong + "x}":                           nil,
		"": nil,
	} {
		cfg, _, err := Load(write(t, text), nil)
		if err != nil {
			t.Fatal(text, err)
		}
		got := cfg.Warnings()
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
			continue
		}
		for _, key := range want {
			if all := strings.Join(got, "\n"); !strings.Contains(all, key+": ") || !strings.Contains(all, "openssl rand") {
				t.Errorf("%s: got %q, want %s", text, got, key)
			}
		}
		for _, secret := range []string{"s3cret", "password123", "north", "aaaa", strong} {
			if strings.Contains(strings.Join(got, "\n"), secret) {
				t.Errorf("%s: a warning shows a secret: %q", text, got)
			}
		}
	}
}

// A warning about a secret from a file names the key of that file, and the file.
func TestWeakSecretsInFiles(t *testing.T) {
	token, play, keys := secretFile(t, "abc\n"), secretFile(t, "z\n"), secretFile(t, "# ours\nq7Zt0vXc2LrB9yKd4mWnE6sH\nxyzw\n")
	cfg, _ := load(t, "admin: {token_file: "+token+"}\ndefaults: {play_secret_file: "+play+", publish_keys_file: "+keys+"}\nstreams: [{match: 'a/*'}]\n")
	got := strings.Join(cfg.Warnings(), "\n")
	want := "admin.token_file: " + token + ": 3 characters are too few; use 16 or more; make one with: openssl rand -base64 33\n" +
		"defaults.publish_keys_file: " + keys + ", key 2: 4 characters are too few; use 12 or more; make one with: openssl rand -base64 33\n" +
		"defaults.play_secret_file: " + play + ": 1 character is too few; use 32 or more; make one with: openssl rand -base64 33"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Random secrets cause no warnings.
func TestRandomSecrets(t *testing.T) {
	for range 2000 {
		var b [18]byte
		_, _ = rand.Read(b[:])
		for _, secret := range []string{base64.StdEncoding.EncodeToString(b[:]), fmt.Sprintf("%x", b)} {
			if guessable(secret) {
				t.Errorf("got %s counts as guessable", secret)
			}
		}
	}
}

func TestShadowedPatterns(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		want          bool
	}{
		{"*/*", "live/*", true},
		{"live/*", "live/cam", true},
		{"live/cam*", "live/cam1", true},
		{"live/[a-z]*", "live/cam", true},
		{"live/?*", "live/*", true}, // no name is empty
		{"live/*a*b*", "live/*ab*", true},
		{"live/cam", "live/cam", true},
		{"live/[a-m]?", "live/[c-d]x", true},
		{"live/cam", "live/*", false},
		{"live/*", "*/*", false},
		{"live/[a-m]*", "live/*", false},
		{"live/?", "live/??", false},
		{"live/*a", "live/*", false},
		{`live/\*`, "live/a", false},
		{"a*/*", "*b/*", false},
	} {
		text := fmt.Sprintf("streams: [{match: '%s'}, {match: '%s'}]", tt.first, tt.second)
		cfg, _, err := Load(write(t, text), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := cfg.Warnings()
		if (len(got) == 1) != tt.want || tt.want && !strings.Contains(got[0], "streams[1].match") {
			t.Errorf("%s before %s: %q, want a warning: %v", tt.first, tt.second, got, tt.want)
		}
	}
}

// A pattern that covers another matches everything that the other matches.
func TestCovers(t *testing.T) {
	pattern := rapid.StringMatching(`([ab?*]|\[ab\]|\[^a\]){1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "pattern"), pattern.Draw(t, "other")
		covered := coversPart(a, b)
		for range 20 {
			name := rapid.StringMatching(`[abc]{1,7}`).Draw(t, "name")
			inA, inB := matches(a, name), matches(b, name)
			if covered && inB && !inA {
				t.Fatalf("got %q covers %q, but not its %q", a, b, name)
			}
		}
	})
}

func FuzzCovers(f *testing.F) {
	for _, p := range []string{"*", "[a-z]*", `\*`, "[", "[]a]", "[^", "a*b*c*d*e*f*g*h*i*j*k*l*", strings.Repeat("*a", 40)} {
		f.Add(p, p)
		f.Add("*", p)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		_, errA := path.Match(a, "")
		_, errB := path.Match(b, "")
		if coversPart(a, b) && (errA != nil || errB != nil) {
			t.Errorf("got %q covers %q", a, b)
		}
	})
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
