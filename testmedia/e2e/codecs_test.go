//go:build unix

package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// What a publisher insists on is carried to those who can show it.
func TestOtherCodecs(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "10s")
	b := browse(t)
	for _, codec := range []string{"VP8", "VP9", "AV1"} {
		stream := "live/" + strings.ToLower(codec)
		w := whip{b.clients().prepare("Publisher", whipOptions{URL: r.url("http", "/"+stream+"/whip"), Codec: codec, Tone: 880})}
		w.eval(nil, `s.prefer = (t, codec) => t.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter((c) => c.mimeType === 'video/' + codec))`)
		w.eval(nil, "s.start()")
		w.connected()
		p := b.clients()
		v := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
		v.decoded(40)
		v.hearing(880)
		if s := v.stats(); s.Codec != "video/"+codec || s.Width == 0 {
			t.Errorf("%s: %+v", codec, s)
		}
		late := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep"), NoAudio: true})
		late.decoded(20)
		t.Logf("%s: first picture after %.0f ms, who joins later after %.0f ms", codec, v.stats().FirstFrame, late.stats().FirstFrame)
		late.leave()
		v.leave()
		var shown struct {
			Tracks []struct{ Codec, RFC6381 string }
		}
		r.shows(stream, &shown)
		if len(shown.Tracks) != 2 || shown.Tracks[0].Codec != codec {
			t.Errorf("the API shows %+v", shown)
		}
		if status := w.leave(); status != http.StatusOK {
			t.Errorf("DELETE: %d", status)
		}
	}
}

// A player that cannot show what there is is told so.
func TestCodecNotOffered(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	r := start(t)
	pushing(t, r.url("rtmp", "/live/cam"), source{picture: "640x360", tone: true})
	r.live("live/cam")
	for _, c := range []struct {
		path, offer string
		status      int
		says        string
	}{
		{"/live/cam/whep", strings.ReplaceAll(strangersOffer, "H264", "VP8"), http.StatusUnprocessableEntity, "the stream is H.264"},
		{"/live/none/whep", strangersOffer, http.StatusConflict, "is not live"},
		{"/live/cam/whip", strings.ReplaceAll(strangersOffer, "H264", "H263"), http.StatusUnprocessableEntity, "none of the video codecs"},
		{"/live/cam/whip", "v=0\r\nnonsense", http.StatusBadRequest, "cannot be answered"},
		{"/live/a%20b/whip", strangersOffer, http.StatusNotFound, "is not valid"},
	} {
		res, err := http.Post(r.url("http", c.path), "application/sdp", strings.NewReader(c.offer))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || !strings.Contains(string(body), c.says) || !strings.Contains(string(body), `"hint"`) {
			t.Errorf("%s: %s %s %v", c.path, res.Status, body, err)
		}
		if retry := res.Header.Get("Retry-After"); (retry != "") != (c.path == "/live/none/whep") {
			t.Errorf("%s: Retry-After %q", c.path, retry)
		}
	}
}
