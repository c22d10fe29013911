package rtmpconn

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/ingest"
)

// What newcomers write in the wrong field is answered with the URL as it has to be.
func TestAdvise(t *testing.T) {
	const form = "write rtmp://h:1936/live/NAME; in OBS the server rtmp://h:1936/live and the stream key NAME, with a key NAME?key=KEY"
	for _, tt := range []struct {
		who, app, tcURL, name string
		reason, hint          string // empty: as it was
	}{
		{"OBS, empty key", "live", "rtmp://h:1936/live", "", "the stream name (in OBS the stream key) is empty", form},
		{"name and key in the server field", "live/cam", "rtmp://h:1936/live/cam", "s3cret-key", "the server part of the URL has more than the app", form},
		{"the name twice", "live/cam", "rtmp://h:1936/live/cam", "cam", "the server part of the URL has more than the app", form},
		{"nothing at all", "", "rtmp://h:1936", "", "the URL names no stream", form},
		{"no app", "", "rtmp://h:1936/", "cam", "the URL has no app before the stream name", form},
		{"a slash in the key", "live", "rtmp://h:1936/live", "studio/cam", "the stream name (in OBS the stream key) has a slash", form},
		{"a space behind the key", "live", "rtmp://h:1936/live", "cam ", "there is a space before or behind the app or the stream name", form},
		{"a space before it", "live", "rtmp://h:1936/live", "%20cam", "there is a space before or behind the app or the stream name", form},
		{"another letter", "live", "rtmp://h:1936/live", "käse", "", ""},
		{
			"an app that cannot be shown", "l<ve/x", "rtmp://<b>/x", "cam", "the server part of the URL has more than the app",
			"write rtmp://HOST/live/NAME; in OBS the server rtmp://HOST/live and the stream key NAME, with a key NAME?key=KEY",
		},
	} {
		name := parseTarget(tt.app, tt.tcURL, tt.name)
		was := &ingest.Refusal{Outcome: ingest.RefusedName, Reason: "r", Hint: "h"}
		var got *ingest.Refusal
		if !errors.As(advise(was, name, hostOf(tt.tcURL)), &got) {
			t.Fatalf("%s: no refusal", tt.who)
		}
		if tt.reason == "" {
			tt.reason, tt.hint = was.Reason, was.Hint
		}
		if got.Reason != tt.reason || got.Hint != tt.hint || got.Outcome != ingest.RefusedName {
			t.Errorf("%s: %q; %q, want %q; %q", tt.who, got.Reason, got.Hint, tt.reason, tt.hint)
		}
	}
	for _, other := range []error{errors.New("x"), &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no key"}} {
		if got := advise(other, target{app: "live"}, "h"); got != other { //nolint:errorlint // it has to be the same
			t.Errorf("%v became %v", other, got)
		}
	}
}

// No advice shows what may be a key, whatever was written.
func TestAdviseShowsNoKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := rapid.StringOfN(rapid.RuneFrom([]rune("ab/ %?")), 0, 8, -1).Draw(t, "app")
		err := advise(&ingest.Refusal{Outcome: ingest.RefusedName, Reason: "r"}, parseTarget(app, "rtmp://h/"+app, "SECRETKEY"), hostOf("rtmp://h/"+app))
		if strings.Contains(err.Error(), "SECRETKEY") {
			t.Fatalf("%v", err)
		}
	})
}
