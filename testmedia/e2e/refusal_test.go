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

// Who asks for what is not live, or for what none may be called, is told so in the terms of
// the protocol.
func TestEveryEgressRefuses(t *testing.T) {
	t.Parallel()
	r := start(t, "--config", config(t, "streams: [{match: \"paid/*\", play_secret: sample-secret}]\n"))
	publish(t, r, "paid/cam", gen.Options{Source: 1}).atLeast(20)
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
					t.Errorf("%s: %d, Retry-After %q: %s", path, status, retry, body)
				}
			}
			if status, retry, body := request(t, http.MethodPost, r.url("http", "/"+tt.stream+"/whep"), offer); status != tt.whep || (status == 409) != (retry != "") || !strings.Contains(body, `"hint"`) {
				t.Errorf("WHEP: %d, Retry-After %q: %s", status, retry, body)
			}
			name := strings.ReplaceAll(tt.stream, "%20", " ")
			if said := refusal(t, r.addrs["rtmp"], "play", name); said.code != tt.rtmp || said.description == "" {
				t.Errorf("RTMP: %v", said)
			}
			if code := socketEnd(t, "ws://"+r.addrs["http"]+"/"+tt.stream+"/mse"); code != tt.socket {
				t.Errorf("WebSocket: %d", code)
			}
		})
	}
}

// request sends one and returns what was answered.
func request(t testing.TB, method, url, body string) (status int, retry, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), method, url, strings.NewReader(body))
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
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(said)
}

// offerOf is what a browser would offer to watch a picture.
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

// socketEnd opens a WebSocket and returns with what code it was closed; where the upgrade was
// refused, 4002.
func socketEnd(t testing.TB, url string) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
