package configs

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHooks(t *testing.T) {
	cfg, _ := load(t, `
hooks:
  - url: "https://hook.example/events?key=1"
  - {url: "http://127.0.0.1:9000/", secret: s, events: [on_play], match: "live/*", timeout: 500ms, on_error: allow, insecure: true, cache: 1m}
`)
	if len(cfg.Hooks) != 2 {
		t.Fatalf("got %+v", cfg.Hooks)
	}
	if h := cfg.Hooks[0]; !slices.Equal(h.Events, HookEvents()) || h.Match != "*/*" || h.Timeout != 2*time.Second || h.OnError != "deny" || h.Cache != 0 {
		t.Errorf("got %+v", h)
	}
	if h := cfg.Hooks[1]; !slices.Equal(h.Events, []string{"on_play"}) || h.Secret != "s" || !h.Insecure || h.Cache != time.Minute || h.OnError != "allow" {
		t.Errorf("got %+v", h)
	}
	other, _ := load(t, "")
	if _, live, restart := Reload(cfg, other); !slices.Equal(live, []string{"hooks"}) || len(restart) > 0 {
		t.Errorf("live %q, restart %q", live, restart)
	}
}

func TestHookFaults(t *testing.T) {
	_, _, err := Load(write(t, `
hooks:
  - {url: "ftp://h/s3cret", events: [], match: live, timeout: 11s, on_error: maybe, cache: 2h}
  - {url: "https://h/#s3cret", events: [on_publish, on_fire]}
  - {secret: x, urll: y}
  - 7
`), nil)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var keys []string
	for _, f := range faults {
		keys = append(keys, f.Key)
		if f.Right == "" || strings.Contains(f.Problem+f.Right, "s3cret") {
			t.Errorf("got %+v", f)
		}
	}
	want := []string{
		"hooks[0].cache", "hooks[0].events", "hooks[0].match", "hooks[0].on_error", "hooks[0].timeout", "hooks[0].url",
		"hooks[1].events[1]", "hooks[1].url", "hooks[2].url", "hooks[2].urll", "hooks[3]",
	}
	if slices.Sort(keys); !slices.Equal(keys, want) {
		t.Errorf("got %q", keys)
	}
}
