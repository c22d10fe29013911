package link

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		url  string
		want Target
	}{
		{"rtmp://host/live/cam", Target{host: "host", address: "host:1935", app: "live", name: "cam", tcURL: "rtmp://host/live"}},
		{"rtmp://host:19350/live/cam?key=a%20b&x=1", Target{
			host: "host", address: "host:19350", app: "live",
			name: "cam?key=a%20b&x=1", query: "key=a%20b&x=1", tcURL: "rtmp://host:19350/live",
		}},
		{"rtmps://host/app/instance/cam", Target{tls: true, host: "host", address: "host:443", app: "app/instance", name: "cam", tcURL: "rtmps://host/app/instance"}},
		{"rtmp://[::1]:1936/live/a%2Fb", Target{host: "::1", address: "[::1]:1936", app: "live", name: "a%2Fb", tcURL: "rtmp://[::1]:1936/live"}},
		{"RTMP://host//live//cam/", Target{host: "host", address: "host:1935", app: "live", name: "cam", tcURL: "rtmp://host/live"}},
	}
	for _, tt := range tests {
		got, err := ParseTarget(tt.url)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.url, got, err)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for _, url := range []string{
		"", "rtmp://", "rtmp:///live/secret", "rtmp://host", "rtmp://host/secret", "rtmp://host//secret/", "http://host/live/secret",
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
