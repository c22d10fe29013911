package configs

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The unit gives the relay the descriptors and the drain time that the defaults require. The
// packaged configuration is valid, and keeps state in a directory that the unit makes writable.
func TestSystemdUnit(t *testing.T) {
	unit, err := os.ReadFile("systemd/holdfast.service")
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindSubmatch(unit)
		if m == nil {
			t.Fatalf("the unit lacks %s", key)
		}
		return string(m[1])
	}
	cfg, notices, err := Load("systemd/holdfast.yaml", nil)
	if err != nil || len(notices) > 0 {
		t.Fatalf("the packaged configuration: got %v, %v", notices, err)
	}
	if files, err := strconv.Atoi(value("LimitNOFILE")); err != nil || files < 2*cfg.Limits.Connections {
		t.Errorf("got LimitNOFILE %d, %v, want twice limits.connections, %d", files, err, 2*cfg.Limits.Connections)
	}
	if stop, err := time.ParseDuration(value("TimeoutStopSec")); err != nil || stop < cfg.Drain.Timeout+5*time.Second {
		t.Errorf("got TimeoutStopSec %v, %v, want more than drain.timeout, %v", stop, err, cfg.Drain.Timeout)
	}
	if got, want := cfg.State.File, "/var/lib/"+value("StateDirectory")+"/state.json"; got != want {
		t.Errorf("got state.file %q, want %q", got, want)
	}
	for key, want := range map[string]string{
		"ExecStart": "/usr/bin/holdfast serve --config /etc/holdfast/holdfast.yaml", "ExecReload": "/bin/kill -HUP $MAINPID",
		"Restart": "on-failure", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "User": "holdfast",
	} {
		if got := value(key); got != want {
			t.Errorf("got %s=%s, want %s", key, got, want)
		}
	}
}
