package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-live/holdfast/cmd/internal/statefile"
	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// jwtFor returns a play token for the streams of this test.
func jwtFor(t *testing.T, secret, pattern string, expires time.Time) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"stm": pattern, "exp": expires.Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A resume token replaces the play token for its own stream, on every relay with its key, until
// it expires. If it cannot resume, the viewer begins at a keyframe.
func TestResumeTokens(t *testing.T) {
	const secret = "s3cret-of-the-plays-0123456789ab"
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, resume.KeySize))
	secured := func(c *configs.Config) { c.Defaults.PlaySecret, c.Resume.Key = secret, key }
	var log logs
	a, other, stranger := run(t, &log, secured), run(t, &log, secured), run(t, &log, func(c *configs.Config) { c.Defaults.PlaySecret = secret })
	for _, r := range []*App{a, other, stranger} {
		publish(t, r, gen.Options{}).pushFor(t, 5*time.Second)
	}
	valid, over := jwtFor(t, secret, "live/*", time.Now().Add(time.Hour)), jwtFor(t, secret, "live/*", time.Now().Add(-time.Hour))
	first := play(t, a, "/live/bench.flv?token="+valid)
	c := &cutting{}
	c.read(t, first, 200_000)
	if first.Header.Get("Holdfast-Resume") != "" || !strings.Contains(first.Header.Get("Access-Control-Expose-Headers"), "Holdfast-Session, Holdfast-Resume") {
		t.Errorf("got %v", first.Header)
	}
	foreign := play(t, stranger, "/live/bench.flv?token="+valid).Header.Get("Holdfast-Session") //nolint:bodyclose // ends with the test
	sealed := func(age time.Duration, stream, under string) string {
		token, err := a.sealer.Seal(time.Now().Add(-age), resume.Claims{Stream: stream, Life: 1, Since: 1}, under, [resume.NonceSize]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	tampered := []byte(c.token)
	tampered[len(tampered)/2] ^= 1
	from := "&from=" + c.from
	for _, tt := range []struct {
		name    string
		at      *App
		query   string
		status  int
		resumed string
	}{
		{"its own", a, "resume=" + c.token + from, 200, "exact"},
		{"its own once more, the play token over", a, "resume=" + c.token + from + "&token=" + over, 200, "exact"},
		{"from nowhere", a, "resume=" + c.token, 200, "keyframe"},
		{"from what is no place", a, "resume=" + c.token + "&from=v12x", 200, "keyframe"},
		{"from what has never been", a, "resume=" + c.token + "&from=v5999999", 200, "keyframe"},
		{"on another node", other, "resume=" + c.token + from, 200, "keyframe"},
		{"on a node with another key", stranger, "resume=" + c.token + from, 401, ""},
		{"there with a play token", stranger, "resume=" + c.token + from + "&token=" + valid, 200, "keyframe"},
		{"of a node with another key", a, "resume=" + foreign + from, 401, ""},
		{"tampered with", a, "resume=" + string(tampered) + from, 401, ""},
		{"tampered with, with a play token", a, "resume=" + string(tampered) + from + "&token=" + valid, 200, "keyframe"},
		{"of another stream", a, "resume=" + sealed(0, "live/other", secret) + from, 401, ""},
		{"from before the secret was changed", a, "resume=" + sealed(0, "live/bench", "old") + from, 401, ""},
		{"too old", a, "resume=" + sealed(resume.Lifetime, "live/bench", secret) + from, 401, ""},
		{"too old, with a play token", a, "resume=" + sealed(resume.Lifetime, "live/bench", secret) + from + "&token=" + valid, 200, "keyframe"},
		{"nearly too old", a, "resume=" + sealed(resume.Lifetime-time.Minute, "live/bench", secret) + from, 200, "exact"},
		{"empty", a, "resume=" + from, 401, ""},
		{"none, the play token over", a, "token=" + over, 401, ""},
	} {
		resp := play(t, tt.at, "/live/bench.flv?"+tt.query)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.status || resp.Header.Get("Holdfast-Resume") != tt.resumed || (resp.Header.Get("Holdfast-Session") != "") != (tt.status == 200) {
			t.Errorf("%s: got %s, %v", tt.name, resp.Status, resp.Header)
		}
	}
	for outcome, want := range map[string]float64{"exact": 3, "keyframe": 4, "expired": 2} {
		if got := metric(t, a, fmt.Sprintf(`holdfast_viewer_resumes_total{outcome=%q,protocol="httpflv"}`, outcome)); got != want {
			t.Errorf("got %v %s are counted, not %v", got, outcome, want)
		}
	}
	for _, s := range []string{secret, valid, over, c.token, foreign} {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log has %s", s)
		}
	}
}

// A resume token of a stream that has ended is not valid for the next stream of that name, whose
// clock begins anew.
func TestResumeOnTheNextStream(t *testing.T) {
	a := run(t, &logs{}, func(c *configs.Config) { c.Defaults.HoldUnpublish = 0 })
	s := publish(t, a, gen.Options{Source: 1})
	s.pushFor(t, 3*time.Second)
	c := &cutting{}
	c.read(t, play(t, a, "/live/bench.flv"), 200_000) //nolint:bodyclose // ends with the test
	gone := a.relay.hub.Find("live/bench").Done()
	s.sink.End("unpublish", "")
	<-gone
	publish(t, a, gen.Options{Source: 2}).pushFor(t, 3*time.Second)
	resp := play(t, a, "/live/bench.flv?resume="+c.token+"&from="+c.from) //nolint:bodyclose // ends with the test
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Holdfast-Resume") != "keyframe" {
		t.Errorf("got %s %v", resp.Status, resp.Header)
	}
}

// The key is the configured one, or the one in the state file, or ends with the process.
func TestKeyOfTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	var told bytes.Buffer
	log := slog.New(slog.NewTextHandler(&told, nil))
	sealer := func(key, file string) *resume.Sealer {
		t.Helper()
		kept, err := statefile.Load(file, log)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSealer(key, kept, log)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	configured := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, resume.KeySize))
	made := map[string]*resume.Sealer{
		"configured": sealer(configured, file), "again": sealer(configured, ""), "kept": sealer("", file), "kept still": sealer("", file),
		"random": sealer("", ""), "another": sealer("", ""),
	}
	same := map[string]string{"configured": "again", "again": "configured", "kept": "kept still", "kept still": "kept"}
	for one, by := range made {
		token, err := by.Seal(time.Now(), resume.Claims{Stream: "live/cam"}, "", [resume.NonceSize]byte{})
		if err != nil {
			t.Fatal(err)
		}
		for two, at := range made {
			want := resume.Invalid
			if one == two {
				want = resume.Good
			} else if same[one] == two {
				want = resume.Elsewhere
			}
			if _, got := at.Open(time.Now(), token, "live/cam", ""); got != want {
				t.Errorf("%s's token opened by %s: %v", one, two, got)
			}
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	data, err := os.ReadFile(file)
	if err != nil || told.Len() > 0 {
		t.Errorf("got %v, told %q", err, told.String())
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(`"key":"`), []byte(`"key":"AAAA`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	sealer("", file)
	if !strings.Contains(told.String(), "level=WARN") {
		t.Errorf("of a key that cannot be read is told %q", told.String())
	}
	told.Reset()
	if sealer("", file); told.Len() > 0 {
		t.Errorf("after another took its place: got %q", told.String())
	}
	if _, err := newSealer("c2hvcnQ=", &statefile.File{}, log); err == nil {
		t.Error("a short key")
	}
}
