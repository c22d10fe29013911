package app

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A stream is played over HLS with a token that is passed on from playlist to playlist. The
// viewer is counted once, and told to retry when the relay stops.
func TestHLS(t *testing.T) {
	const secret = "s3cret-of-the-plays-0123456789ab"
	var log logs
	a := run(t, &log, func(c *configs.Config) { c.Defaults.PlaySecret = secret })
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"stm": "live/*", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	admin, base := "http://"+a.Addr("admin").String(), "http://"+a.Addr("http").String()+"/live/cam/"
	events := subscribe(t, admin, "")
	p, err := dialPush(t, a, "live/cam")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // the relay may have ended it
	for _, pkt := range gen.New(gen.Options{}).Until(7 * time.Second) {
		if err := p.Write(pkt); err != nil {
			t.Fatal(err)
		}
	}
	events.until(t, `"to":"live"`)
	if status, body := get(t, base+"index.m3u8"); status != 401 {
		t.Errorf("without a token: got %d %s", status, body)
	}
	_, index := get(t, base+"index.m3u8?token="+token)
	media := regexp.MustCompile(`media\.m3u8\?run=\w+&s=[^\s]+`).FindString(index)
	if !strings.Contains(index, `CODECS="avc1.4d001f,mp4a.40.2"`) || !strings.HasSuffix(media, "&token="+token) {
		t.Fatalf("got %s", index)
	}
	status, list := get(t, base+media)
	if status != 200 || !strings.Contains(list, "#EXT-X-PART:") {
		t.Fatalf("got %d %s", status, list)
	}
	for _, file := range []string{`init-[^"]+\.mp4`, `(?m)^[0-9]+-.*\.m4s$`, `p[0-9]+-[^"]+\.m4s`} {
		name := regexp.MustCompile(file).FindString(list)
		if status, _ := get(t, base+name); status != 200 {
			t.Errorf("%s: got %d", name, status)
		}
	}
	_, metrics := get(t, admin+"/metrics")
	for _, want := range []string{
		`holdfast_viewers{protocol="hls",stream="live/cam"} 1`, `holdfast_viewer_joins_total{outcome="joined",protocol="hls"} 1`,
		`holdfast_viewer_joins_total{outcome="refused_key",protocol="hls"} 1`, `holdfast_viewer_join_seconds_count{protocol="hls"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%s is not among the metrics", want)
		}
	}
	if strings.Contains(metrics, `holdfast_egress_bytes_total{protocol="hls"} 0`) {
		t.Error("no bytes are counted")
	}
	if strings.Contains(log.String(), token) {
		t.Error("the token is logged")
	}
}
