package app

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/configs"
)

const pastedKey = "kq7Zt0vXc2LrB9yK"

// Keys that were pasted as a stream's name, or behind & instead of ?, are neither logged nor shown, and
// the log says how to write them.
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
		t.Errorf("there is a story under the key: %s", story)
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

func TestHidingLog(t *testing.T) {
	var out bytes.Buffer
	s := &secrets{}
	cfg := configs.Default()
	cfg.Admin.Token, cfg.Defaults.PublishKeys = "admin-S3cr3t", []string{"short6", "k"}
	s.set(&cfg)
	log := slog.New(hiding{slog.NewTextHandler(&out, nil), s}).With("stream", "live/short6").WithGroup("g")
	log.Info("with admin-S3cr3t", "err", fmt.Errorf("dial: %w", errors.New("rtmp://h/x?key=hush")), "n", 7, slog.Group("in", "url", "a?token=hush"), "k", "k short6")
	for _, secret := range []string{"S3cr3t", "hush", "live/short6"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%s shows in %s", secret, out.String())
		}
	}
	for _, want := range []string{"stream=live/***", "g.n=7", `msg="with ***"`, `g.k="k short6"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in %s", want, out.String())
		}
	}
}

// On a relay that is open to everyone a guess of another secret, sent as a stream's name, is answered
// as any other name is.
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
