package rtmpconn

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParseTarget(t *testing.T) {
	cam := target{app: "live", name: "cam"}
	keyed := target{app: "live", name: "cam", key: "s3"}
	tests := []struct {
		who, app, tcURL, name string
		want                  target
	}{
		{"ffmpeg, rtmpdump", "live", "rtmp://h:1935/live", "cam", cam},
		{"ffmpeg with a key", "live", "rtmp://h:1935/live", "cam?key=s3", keyed},
		{"OBS, key field", "live", "rtmp://h/live", "cam?key=s3&backup=1", target{app: "live", name: "cam", key: "s3", backup: true}},
		{"OBS, no key field", "live/cam", "rtmp://h/live/cam", "", cam},
		{"OBS, query in the server", "live?key=s3", "rtmp://h/live?key=s3", "cam", keyed},
		{"OBS, all in the server", "live/cam?key=s3", "rtmp://h/live/cam?key=s3", "", keyed},
		{"the name's key is nearer", "live?key=other", "rtmp://h/live?key=other", "cam?key=s3", keyed},
		{"name in tcUrl, query there", "live", "rtmp://h/live/cam?key=s3", "cam", keyed},
		{"slash behind the application", "live/", "rtmp://h/live/", "cam", cam},
		{"slash before the name", "live", "", "/cam", cam},
		{"default instance", "live/_definst_", "", "cam", cam},
		{"instance", "live/a", "", "cam", target{app: "live/a", name: "cam"}},
		{"no application", "", "rtmp://h/", "live/cam", cam},
		{"no application, in tcUrl", "", "rtmp://h/live", "cam", cam},
		{"a whole URL as the name", "", "", "rtmp://h:1935/live/cam?key=s3", keyed},
		{"prefix", "live", "", "flv:cam", cam},
		{"escapes", "l%69ve", "", "c%61m?key=s%33", keyed},
		{"broken escape", "live", "", "c%zz", target{app: "live", name: "c%zz"}},
		{"token", "live", "", "cam?token=a.b.c", target{app: "live", name: "cam", token: "a.b.c"}},
		{"two queries", "live", "", "cam?a=b?key=s3", keyed},
		{"backup off", "live", "", "cam?backup=0", cam},
		{"nothing", "", "", "", target{}},
		{"application only", "live", "", "", target{app: "live"}},
	}
	for _, tt := range tests {
		if got := parseTarget(tt.app, tt.tcURL, tt.name); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.who, got, tt.want)
		}
	}
}

func TestParseTargetTakesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringOfN(rapid.RuneFrom([]rune("ab/?&=:%._~\x00é")), 0, 20, -1)
		parseTarget(part.Draw(t, "app"), part.Draw(t, "tcUrl"), part.Draw(t, "name"))
	})
}
