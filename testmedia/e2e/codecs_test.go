//go:build unix

package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestOtherCodecs publishes codecs other than H.264 and checks that viewers that support them can play.
func TestOtherCodecs(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	b := startBrowser(t)
	for _, codec := range []string{"VP8", "VP9", "AV1"} {
		stream := "live/" + strings.ToLower(codec)
		w := whip{b.openClientPage().prepare("Publisher", whipOptions{URL: r.url("http", "/"+stream+"/whip"), Codec: codec, Tone: 880})}
		w.eval(nil, `s.prefer = (t, codec) => t.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter((c) => c.mimeType === 'video/' + codec))`)
		w.eval(nil, "s.start()")
		w.waitConnected()
		p := b.openClientPage()
		v := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep")})
		v.waitDecoded(40)
		v.waitTone(880)
		if s := v.stats(); s.Codec != "video/"+codec || s.Width == 0 {
			t.Errorf("%s: got %+v", codec, s)
		}
		late := p.view(whepOptions{URL: r.url("http", "/"+stream+"/whep"), NoAudio: true})
		late.waitDecoded(20)
		t.Logf("%s: first frame after %.0f ms, of a late viewer after %.0f ms", codec, v.stats().FirstFrame, late.stats().FirstFrame)
		late.leave()
		v.leave()
		var shown struct {
			Tracks []struct{ Codec, RFC6381 string }
		}
		r.getStream(stream, &shown)
		if len(shown.Tracks) != 2 || shown.Tracks[0].Codec != codec {
			t.Errorf("API: got %+v", shown)
		}
		if status := w.leave(); status != http.StatusOK {
			t.Errorf("DELETE: got status %d", status)
		}
	}
}

// TestCodecNotOffered checks that a player that does not support the codec gets an error.
func TestCodecNotOffered(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg")
	r := startRelay(t)
	startEncoder(t, r.url("rtmp", "/live/cam"), encoderSource{size: "640x360", tone: true})
	r.waitLive("live/cam")
	for _, c := range []struct {
		path, offer string
		status      int
		says        string
	}{
		{"/live/cam/whep", strings.ReplaceAll(unconnectedOffer, "H264", "VP8"), http.StatusUnprocessableEntity, "the stream is H.264"},
		{"/live/none/whep", unconnectedOffer, http.StatusConflict, "is not live"},
		{"/live/cam/whip", strings.ReplaceAll(unconnectedOffer, "H264", "H263"), http.StatusUnprocessableEntity, "none of the video codecs"},
		{"/live/cam/whip", "v=0\r\nnonsense", http.StatusBadRequest, "cannot be answered"},
		{"/live/a%20b/whip", unconnectedOffer, http.StatusNotFound, "is not valid"},
	} {
		res, err := http.Post(r.url("http", c.path), "application/sdp", strings.NewReader(c.offer))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || !strings.Contains(string(body), c.says) || !strings.Contains(string(body), `"hint"`) {
			t.Errorf("%s: got %s %s %v", c.path, res.Status, body, err)
		}
		if retry := res.Header.Get("Retry-After"); (retry != "") != (c.path == "/live/none/whep") {
			t.Errorf("%s: got Retry-After %q", c.path, retry)
		}
	}
}
