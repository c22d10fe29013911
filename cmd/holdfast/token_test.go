package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A token of holdfast token is accepted by a relay with the same configuration.
func TestToken(t *testing.T) {
	path := file(t, "defaults: {play_secret: 3q2-7_north-by-northwest-and-on-we-go}\nstreams: [{match: 'open/*', play_secret: ''}]\n")
	p := start(t, append([]string{"--config", path}, anyPorts...)...)
	base := "http://" + p.listening("http")
	stdout, stderr, code := run(t, nil, "token", "live/cam", "--for", "2h", "--config", path, "--base", base)
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: got %s", code, stderr)
	}
	for what, form := range map[string]string{
		"page": base + "/live/cam/?token=", "HLS": base + "/live/cam/index.m3u8?token=", "HTTP-FLV": base + "/live/cam.flv?token=",
		"RTMP": "rtmp://127.0.0.1/live/cam?token=", "WHEP": base + "/live/cam/whep?token=",
	} {
		if !regexp.MustCompile(`(?m)^` + what + ` +` + regexp.QuoteMeta(form) + `[\w.-]+$`).MatchString(stdout) {
			t.Errorf("there is no %s %s… in:\n%s", what, form, stdout)
		}
	}
	flv := regexp.MustCompile(`http\S+\.flv\S+`).FindString(stdout)
	if body, status := get(t, flv); status != http.StatusNotFound {
		t.Errorf("with the token, of a stream that is not live: got %d %s", status, body)
	}
	body, status := get(t, base+"/live/cam.flv?token=x.y.z")
	if status != http.StatusUnauthorized || !strings.Contains(body, `"error":"this link is not valid"`) || !strings.Contains(body, `"detail":"the play token is not valid`) {
		t.Errorf("with a wrong one: got %d %s", status, body)
	}
	quiet, _, code := run(t, nil, "token", "live/*", "-q", "--config", path)
	if body, status := get(t, base+"/live/other.flv?token="+strings.TrimSpace(quiet)); code != 0 || status != http.StatusNotFound {
		t.Errorf("with the token of a pattern: got %d %s", status, body)
	}
}

func TestTokenRefuses(t *testing.T) {
	path := file(t, "defaults: {play_secret: 3q2-7_north-by-northwest-and-on-we-go}\nstreams: [{match: 'open/*', play_secret: ''}]\n")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"open/x"}, "no token is needed\npage      http://localhost:8080/open/x/\n"},
		{[]string{"live"}, `"live" is not the name of a stream; write app/name`},
		{[]string{"live/[x"}, "is not a pattern of streams"},
		{nil, "name one stream: holdfast token live/cam"},
		{[]string{"live/cam", "--for", "2"}, `invalid argument "2" for "--for" flag: write a duration like`},
		{[]string{"live/cam", "--for", "-1h"}, "write a duration like"},
		{[]string{"live/cam", "--base", "rtmp://h/"}, `--base "rtmp://h/" is not the URL of a relay; write https://relay.example`},
	} {
		stdout, stderr, code := run(t, nil, append(append([]string{"token"}, tt.args...), "--config", path)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: exit %d, %q, want %q", tt.args, code, stdout+stderr, tt.want)
		}
	}
}

// URLs that work only on this machine are printed with a note.
func TestTokenOfALoopbackRelay(t *testing.T) {
	const secret = "defaults: {play_secret: 3q2-7_north-by-northwest-and-on-we-go}\n"
	const loopback = "these URLs work on this machine only; give the public address with --base https://relay.example"
	for _, tt := range []struct {
		config string
		args   []string
		want   string // in stderr; empty: nothing there
	}{
		{"http: {listen: '127.0.0.1:8080'}\n", nil, loopback},
		{"http: {listen: '[::1]:8080'}\n", nil, loopback},
		{"http: {listen: 'localhost:8080'}\n", nil, loopback},
		{"http: {listen: '127.0.0.1:8080'}\n", []string{"--base", "https://relay.example"}, ""},
		{"http: {listen: '192.0.2.1:8080'}\n", nil, ""},
		{"", nil, "the relay's public address is not known here"},
	} {
		stdout, stderr, code := run(t, nil, append([]string{"token", "live/cam", "--config", file(t, secret+tt.config)}, tt.args...)...)
		if code != 0 || stdout == "" || !strings.Contains(stderr, tt.want) || tt.want == "" && stderr != "" {
			t.Errorf("%q %q: exit %d, %q, want %q", tt.config, tt.args, code, stderr, tt.want)
		}
	}
}
