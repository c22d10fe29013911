//go:build unix

package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestEveryEgressRefuses checks that a request for a stream that is not live, or for an invalid name, gets
// an error of its protocol.
func TestEveryEgressRefuses(t *testing.T) {
	t.Parallel()
	r := startRelay(t, "--config", config(t, "streams: [{match: \"paid/*\", play_secret: sample-secret}]\n"))
	publish(t, r, "paid/cam", gen.Options{Source: 1}).waitSent(20)
	offer := offerOf(t)
	for _, tt := range []struct {
		stream string
		http   int
		rtmp   string
		whep   int
		socket websocket.StatusCode
	}{
		{"live/none", 404, "NetStream.Play.StreamNotFound", 409, 4001},
		{"paid/cam", 401, "NetStream.Play.Failed", 401, 4002},
		{"live/n%20o", 404, "NetStream.Play.Failed", 404, 4002},
	} {
		t.Run(strings.ReplaceAll(tt.stream, "/", " "), func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{".flv", "/index.m3u8"} {
				status, retry, body := request(t, http.MethodGet, r.url("http", "/"+tt.stream+path), "")
				if status != tt.http || (tt.whep == 409) != (retry != "") || !strings.Contains(body, `"hint"`) {
					t.Errorf("%s: got %d, Retry-After %q: %s", path, status, retry, body)
				}
			}
			if status, retry, body := request(t, http.MethodPost, r.url("http", "/"+tt.stream+"/whep"), offer); status != tt.whep || (status == 409) != (retry != "") || !strings.Contains(body, `"hint"`) {
				t.Errorf("WHEP: got %d, Retry-After %q: %s", status, retry, body)
			}
			name := strings.ReplaceAll(tt.stream, "%20", " ")
			if output := expectRefusal(t, r.addrs["rtmp"], "play", name); output.code != tt.rtmp || output.description == "" {
				t.Errorf("RTMP: got %v", output)
			}
			if code := socketEnd(t, "ws://"+r.addrs["http"]+"/"+tt.stream+"/mse"); code != tt.socket {
				t.Errorf("WebSocket: got %d", code)
			}
		})
	}
}

// request sends a request and returns the response.
func request(t testing.TB, method, url, body string) (status int, retry, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(waitContext(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/sdp")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	output, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(output)
}

// offerOf returns the offer of a browser that plays video.
func offerOf(t testing.TB) string {
	t.Helper()
	pc, err := loopbackPeer()
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close() //nolint:errcheck // it never connected
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

// socketEnd opens a WebSocket and returns its close code, or 4002 if the upgrade was refused.
func socketEnd(t testing.TB, url string) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // it is the connection
	if err != nil {
		if resp != nil && resp.StatusCode/100 == 4 {
			return 4002
		}
		t.Fatal(err)
	}
	defer c.CloseNow() //nolint:errcheck // it is over
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}
