package ingest

import (
	"strings"
	"testing"
)

func TestHideSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"live/cam":                         "live/cam",
		"live/cam&key=S3cr3t":              "live/cam&key=***",
		"cam?key=S3cr3t&backup=1":          "cam?key=***&backup=1",
		"cam%26key%3DS3cr3t":               "cam%26key%3D***",
		"cam;token=S3cr3t":                 "cam;token=***",
		"key=S3cr3t":                       "key=***",
		"camkey=1":                         "camkey=1",
		"append ?key=… to the stream name": "append ?key=… to the stream name",
		"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.abc-_DEF": "***",
		"Authorization: Bearer abc.def-ghi":          "Authorization: Bearer ***",
		"send it as Bearer":                          "send it as Bearer",
		"rtmp://me:hush@host/live":                   "rtmp://me:***@host/live",
		"rtmp://host:1935/live":                      "rtmp://host:1935/live",
		`"cam&key=S3cr3t"`:                           `"cam&key=***"`,
	} {
		if got := HideSecrets(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzHideSecrets(f *testing.F) {
	for _, text := range []string{"", "cam&key=x", "eyJ.eyJ.eyJ", strings.Repeat("key=", 100), "://:@"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if HideSecrets(text+"&key=S3cr3tS3cr3t") != HideSecrets(text+"&key=")+Hidden && strings.Contains(HideSecrets(text+"&key=S3cr3tS3cr3t"), "S3cr3tS3cr3t") {
			t.Errorf("%q: got a text with a secret", text)
		}
	})
}
