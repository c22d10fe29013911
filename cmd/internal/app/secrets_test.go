package app

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/configs"
)

const pastedKey = "kq7Zt0vXc2LrB9yK"

// Keys that were pasted as a stream's name, or after & instead of ?, are neither logged nor
// shown, and the log says how to write them.
func TestPastedKeys(t *testing.T) {
	var log logs
	a := run(t, &log, func(c *configs.Config) {
		c.Defaults.PublishKeys, c.Log.Level = []string{pastedKey, "other-" + pastedKey}, "debug"
	})
	for _, name := range []string{"live/" + pastedKey, pastedKey + "/cam", "live/cam&key=" + pastedKey, "live/cam&key=unknown-S3cr3t", "live/" + pastedKey + "~low"} {
		if p, err := dialPush(t, a, name); err == nil {
			_ = p.Close()
			t.Errorf("a push to %s is accepted", name)
		}
	}
	base := "http://" + a.Addr("http").String()
	for _, path := range []string{"/live/" + pastedKey + ".flv", "/live/cam&key=" + pastedKey + ".flv", "/live/cam&token=unknown-S3cr3t/index.m3u8", "/live/" + pastedKey + "/index.m3u8"} {
		if status, _ := get(t, base+path); status == http.StatusOK {
			t.Errorf("%s is played", path)
		}
	}
	for _, path := range []string{"/live/" + pastedKey + "/whip", "/live/cam&key=unknown-S3cr3t/whep"} {
		got, err := http.Post(base+path, "application/sdp", strings.NewReader("v=0"))
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
	}
	if _, story := get(t, "http://"+a.Addr("admin").String()+"/api/v1/streams/live/"+pastedKey+"/log"); strings.Contains(story, "refused_key") {
		t.Errorf("there is a story under the key: got %s", story)
	}
	_, streams := get(t, "http://"+a.Addr("admin").String()+"/api/v1/streams")
	_, metrics := get(t, "http://"+a.Addr("admin").String()+"/metrics")
	for what, text := range map[string]string{"log": log.String(), "streams": streams, "metrics": metrics} {
		for _, secret := range []string{pastedKey, "unknown-S3cr3t"} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("the %s shows %s: %s", what, secret, text[max(0, i-100):min(len(text), i+100)])
			}
		}
	}
	for _, want := range []string{"publish key sent as the name of a stream", "name?key=…", "a question mark begins the query"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

// On a relay that is open to everyone, a guessed secret sent as a stream's name gets the same
// response as any other name.
func TestNamesTellNothingOfSecrets(t *testing.T) {
	var log logs
	a := run(t, &log, func(c *configs.Config) { c.Admin.Token = "an-admin-token-of-a-test" })
	for _, name := range []string{"live/an-admin-token-of-a-test", "live/an-admin-token-of-a-guess"} {
		p, err := dialPush(t, a, name)
		if err != nil {
			t.Errorf("%s: got %v, want it accepted", name, err)
			continue
		}
		_ = p.Close()
	}
}
