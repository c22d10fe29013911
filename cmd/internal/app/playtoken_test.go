package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/relay/admission"
)

// secretsOf returns a configuration with the secrets of patterns, in order.
func secretsOf(defaults string, entries ...[2]string) *configs.Config {
	cfg := configs.Default()
	cfg.Defaults.PlaySecret = defaults
	for _, e := range entries {
		s := cfg.Defaults
		s.PlaySecret = e[1]
		cfg.Streams = append(cfg.Streams, configs.Match{Match: e[0], Stream: s})
	}
	return &cfg
}

func TestPlayToken(t *testing.T) {
	cfg := secretsOf("north", [2]string{"open/*", ""}, [2]string{"live/vip", "south"}, [2]string{"live/same", "north"})
	rules := &settings{}
	rules.cfg.Store(cfg)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, tt := range []struct {
		stream, plays string // a stream that the token is to open
		note, err     string
	}{
		{"live/cam", "live/cam", "", ""},
		{"live/vip", "live/vip", "", ""},
		{"live/s*", "live/same", "", ""},
		{"live/cam~360p", "live/cam~360p", "", ""},
		{"app/*", "app/x", "", ""},
		{"open/x", "", "", "no token is needed"},
		{"open/*", "", "", `streams[0] ("open/*") has no play_secret`},
		{"o*/*", "other/x", "streams[0]", ""},
		{"live/*", "", "", "different secrets, of streams[1] (\"live/vip\"), streams[2] (\"live/same\"), defaults"},
		{"live", "", "", "write app/name"},
		{"live/", "", "", "write app/name"},
		{"live/a/b", "", "", "write app/name"},
		{"live/[", "", "", "is not a pattern"},
		{"*", "", "", "is not a pattern"},
		{"live/a b", "", "", "is not valid"},
	} {
		token, note, err := PlayToken(cfg, tt.stream, until)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "north") {
				t.Errorf("%s: error %v, want %q", tt.stream, err, tt.err)
			}
		case err != nil:
			t.Errorf("%s: got %v", tt.stream, err)
		default:
			if got, err := admission.CheckPlayToken(rules, tt.plays, token); err != nil || !got.Equal(until) {
				t.Errorf("%s: the token opens %s until %v, %v, want %v", tt.stream, tt.plays, got, err, until)
			}
			if !strings.Contains(note, tt.note) || (note == "") != (tt.note == "") {
				t.Errorf("%s: note %q, want %q", tt.stream, note, tt.note)
			}
		}
	}
	if _, _, err := PlayToken(cfg, "open/x", until); !errors.Is(err, ErrOpen) {
		t.Errorf("an open stream: got %v", err)
	}
}

func TestOpenWarning(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  *configs.Config
		want string
	}{
		"all open":          {secretsOf(""), "publishing and playing are open to everyone; set defaults.publish_keys and defaults.play_secret to close them"},
		"playing is closed": {secretsOf("x"), "publishing is open to everyone; set defaults.publish_keys to close it"},
		"one pattern":       {secretsOf("x", [2]string{"live/*", ""}), `publishing is open to everyone; set defaults.publish_keys to close it; playing is open to everyone for "live/*"; set play_secret there to close it`},
		"the rest": {secretsOf("", [2]string{"live/*", "x"}), "publishing is open to everyone; set defaults.publish_keys to close it; " +
			"playing is open to everyone for all streams that no pattern of streams matches; set play_secret in defaults to close it"},
		"a pattern and the rest": {secretsOf("", [2]string{"live/*", "x"}, [2]string{"cam/*", ""}), "publishing is open to everyone; set defaults.publish_keys to close it; " +
			`playing is open to everyone for "cam/*", all streams that no pattern of streams matches; set play_secret there and in defaults to close it`},
		"closed for all by a pattern": {secretsOf("", [2]string{"*/*", "x"}), "publishing is open to everyone; set defaults.publish_keys to close it"},
	} {
		if got := openWarning(tt.cfg); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, tt.want)
		}
	}
}
