package configs

import (
	"fmt"
	"strings"
)

// Warnings returns warnings about settings that are allowed but most likely mistakes. They
// contain no secrets.
func (c *Config) Warnings() []string {
	w := &warner{known: map[string]bool{}}
	w.secretOr("admin.token", "admin.token_file", c.Admin.TokenFile, c.Admin.Token, 16)
	w.permissions("admin.token_file", c.Admin.TokenFile)
	w.stream("defaults.", &c.Defaults)
	for i := range c.Streams {
		w.stream(fmt.Sprintf("streams[%d].", i), &c.Streams[i].Stream)
	}
	for i := range c.Hooks {
		w.secret(fmt.Sprintf("hooks[%d].secret", i), c.Hooks[i].Secret, 16)
	}
	for i, s := range c.WebRTC.ICEServers {
		w.secret(fmt.Sprintf("webrtc.ice_servers[%d].secret", i), s.Secret, 16)
	}
	w.shadowed("streams", "the first that matches counts", len(c.Streams), func(i int) string { return c.Streams[i].Match })
	return w.out
}

type warner struct {
	known map[string]bool // secrets and files checked already, since streams inherit those of the defaults
	out   []string
}

func (w *warner) stream(at string, s *Stream) {
	for i, k := range s.PublishKeys {
		if s.PublishKeysFile != "" {
			w.secret(fmt.Sprintf("%spublish_keys_file: %s, key %d", at, s.PublishKeysFile, i+1), k, 12)
		} else {
			w.secret(fmt.Sprintf("%spublish_keys[%d]", at, i), k, 12)
		}
	}
	w.permissions(at+"publish_keys_file", s.PublishKeysFile)
	w.permissions(at+"play_secret_file", s.PlaySecretFile)
	w.secretOr(at+"play_secret", at+"play_secret_file", s.PlaySecretFile, s.PlaySecret, 32) // RFC 7518, 3.2; with a token, secrets can be guessed offline
}

// makeOne is the hint on how to make a secret that cannot be guessed.
const makeOne = "; make one with: openssl rand -base64 33"

// secretOr is like secret, for a secret that was given by key or, if file is not empty, read from that
// file, which was given by fileKey.
func (w *warner) secretOr(key, fileKey, file, secret string, least int) {
	if file != "" {
		key = fileKey + ": " + file
	}
	w.secret(key, secret, least)
}

// secret adds a warning if a secret can be guessed. where, the start of the warning, begins with the
// secret's key. least is the recommended minimum length in bytes.
func (w *warner) secret(where, secret string, least int) {
	if secret == "" || w.known[secret] {
		return
	}
	w.known[secret] = true
	switch {
	case len(secret) < least:
		plural := "characters are"
		if len(secret) == 1 {
			plural = "character is"
		}
		w.out = append(w.out, fmt.Sprintf("%s: %d %s too few; use %d or more%s", where, len(secret), plural, least, makeOne))
	case guessable(secret):
		w.out = append(w.out, where+": it is made of well-known words, or of few different characters, and can be guessed"+makeOne)
	}
}

// wellKnown lists words that attackers try first. A word precedes its own prefixes.
var wellKnown = []string{
	"1234567890", "123456789", "12345678", "1234567", "123456", "12345", "1234", "123", "abcdef", "abc",
	"password", "passwort", "passw0rd", "passwd", "pass", "secret", "s3cret", "geheim", "changeme", "change", "replace", "letmein", "welcome",
	"qwertyuiop", "qwerty", "qwertz", "asdf", "iloveyou", "dragon", "monkey", "hunter2", "foobar", "foo", "bar", "default", "example", "sample",
	"holdfast", "admin", "root", "user", "guest", "obs", "rtmp", "whip", "whep", "live", "streaming", "streamer", "stream", "publisher",
	"publish", "play", "viewer", "camera", "cam", "token", "keys", "key", "test", "demo", "hmac", "jwt", "your", "with", "this", "the", "me", "my", "of", "a",
}

// guessable reports whether a secret consists almost entirely of well-known words, or of few different
// characters.
func guessable(secret string) bool {
	distinct := map[rune]bool{}
	for _, r := range secret {
		distinct[r] = true
	}
	if len(distinct) <= 4 {
		return true
	}
	rest := strings.ToLower(secret)
	for _, word := range wellKnown {
		rest = strings.ReplaceAll(rest, word, " ")
	}
	left := 0
	for _, r := range rest {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127 {
			left++
		}
	}
	return left <= 2
}

// shadowed adds a warning for each list entry that never applies because the pattern of an earlier entry
// matches everything that its pattern matches.
func (w *warner) shadowed(list, why string, n int, match func(int) string) {
	for i := range n {
		for j := range i {
			if covers(match(j), match(i)) {
				w.out = append(w.out, fmt.Sprintf("%s[%d].match: %q never counts, because %s[%d] (%q) matches all of it before, and %s; move it up, or remove it",
					list, i, match(i), list, j, match(j), why))
				break
			}
		}
	}
}
