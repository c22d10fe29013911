package link

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		url   string
		want  Target
		host  string
		shown string
	}{
		{
			"rtmp://host/live/cam",
			Target{scheme: "rtmp", host: "host", port: "1935", app: "live", name: "cam", tcURL: "rtmp://host/live"},
			"host:1935", "rtmp://host/live",
		},
		{"rtmp://host:19350/live/cam?key=a%20b&x=1", Target{
			scheme: "rtmp", host: "host", port: "19350", app: "live",
			name: "cam?key=a%20b&x=1", query: "key=a%20b&x=1", tcURL: "rtmp://host:19350/live",
		}, "host:19350", "rtmp://host:19350/live"},
		{
			"rtmps://host/app/instance/cam",
			Target{scheme: "rtmps", host: "host", port: "443", app: "app/instance", name: "cam", tcURL: "rtmps://host/app/instance"},
			"host:443", "rtmps://host/app/instance",
		},
		{
			"rtmp://[::1]:1936/live/a%2Fb",
			Target{scheme: "rtmp", host: "::1", port: "1936", app: "live", name: "a%2Fb", tcURL: "rtmp://[::1]:1936/live"},
			"[::1]:1936", "rtmp://[::1]:1936/live",
		},
		{
			"RTMP://host//live//cam/",
			Target{scheme: "rtmp", host: "host", port: "1935", app: "live", name: "cam", tcURL: "rtmp://host/live"},
			"host:1935", "rtmp://host/live",
		},
		{"http://host/live/cam.flv?token=hush", Target{
			scheme: "http", host: "host", port: "80", query: "token=hush", authority: "host", request: "/live/cam.flv?token=hush",
		}, "host:80", "http://host/live/cam.flv"},
		{"https://host:8443", Target{scheme: "https", host: "host", port: "8443", authority: "host:8443", request: "/"}, "host:8443", "https://host:8443"},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.url)
		tt.want.shown = tt.shown
		if err != nil || got != tt.want || got.Host() != tt.host || got.String() != tt.shown {
			t.Errorf("%s: %+v, %v", tt.url, got, err)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for _, url := range []string{
		"", "rtmp://", "rtmp:///live/secret", "rtmp://host", "rtmp://host/secret", "rtmp://host//secret/", "http:///secret", "file:///secret", "http://user:secret@host/",
		"rtmp://user:secret@host/live/cam", "rtmp://host:secret/live/cam", "rtmp://host/live/%zzsecret", "host/live/secret",
	} {
		_, err := ParseTarget(url)
		if !errors.Is(err, ErrURL) {
			t.Errorf("%q: %v", url, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows it: %v", url, err)
		}
		if Retry(err) {
			t.Errorf("%q: a retry does not help", url)
		}
	}
}
