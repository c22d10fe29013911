package app

import (
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/stream"
)

func TestWhereViewersBegin(t *testing.T) {
	const chromium = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"
	for name, c := range map[string]struct {
		request egress.Request
		verdict resume.Verdict
		want    stream.Begin
	}{
		"RTMP":                        {egress.Request{Protocol: "rtmp"}, resume.Invalid, stream.AtRecovery},
		"RTMPS":                       {egress.Request{Protocol: "rtmps"}, resume.Invalid, stream.AtRecovery},
		"HTTP-FLV by ffmpeg":          {egress.Request{Protocol: "httpflv", Agent: "Lavf/59.27.100"}, resume.Invalid, stream.AtRecovery},
		"HTTP-FLV by a browser":       {egress.Request{Protocol: "httpflv", Agent: chromium}, resume.Invalid, stream.AtKeyframe},
		"WHEP":                        {egress.Request{Protocol: "whep"}, resume.Invalid, stream.AtKeyframe},
		"HLS":                         {egress.Request{Protocol: "hls"}, resume.Invalid, stream.AtKeyframe},
		"HLS, who was there before":   {egress.Request{Protocol: "hls", Standing: egress.Returns}, resume.Invalid, stream.Anywhere},
		"Media Source":                {egress.Request{Protocol: "mse"}, resume.Invalid, stream.AtKeyframe},
		"Media Source, to be resumed": {egress.Request{Protocol: "mse"}, resume.Good, stream.Anywhere},
	} {
		if got := begins(c.request, c.verdict); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
