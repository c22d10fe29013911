package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// several is a relay with these streams.
type several struct {
	fake
	streams []Stream
}

func (s *several) Streams() []Stream { return s.streams }

func TestStat(t *testing.T) {
	from := &Publisher{Session: "s1", Remote: "192.0.2.1:5", Agent: "OBS & <co>", Since: time.Now().Add(-time.Second), Bitrate: 1000, Sound: 100, FrameRate: 25}
	relay := &several{streams: []Stream{
		{Name: "cam/a", State: "live", Publisher: from, Tracks: []Track{{Codec: "Opus", SampleRate: 48000}}, Viewers: map[string]int{"whep": 2}, Received: 7},
		{Name: "cam/held", State: "held", Viewers: map[string]int{"rtmp": 1}},
		{Name: "live/b", State: "suspect", Publisher: from, Tracks: []Track{{Codec: "H.265", Level: "L93", RFC6381: "hvc1.1.6.L93.B0", Width: 8, Height: 4}}},
		{Name: "live/c", State: "live", Publisher: from, Tracks: []Track{{Codec: "H.264", Level: "3.1", RFC6381: "avc1.64c01f"}}},
		{Name: "live/waits", State: "idle"},
	}}
	h := New(Options{Relay: relay, Routes: &fakeRoutes{}, Events: NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return "" }})
	page := func() string {
		return strings.ReplaceAll(ask(h, "GET", "/api/v1/stat/nginx-rtmp").Body.String(), "\n", "")
	}
	got := page()
	for _, want := range []string{
		"<application><name>cam</name><live><stream><name>a</name>",
		"<bw_in>1000</bw_in><bytes_in>7</bytes_in><bw_out>2000</bw_out>", "<bw_audio>100</bw_audio><bw_video>900</bw_video>",
		"<address>192.0.2.1</address>", "OBS &amp; &lt;co&gt;", "<nclients>3</nclients>",
		"<codec>H265</codec><profile></profile><compat>0</compat></video><audio></audio>",
		"<frame_rate>25</frame_rate>", "<compat>192</compat><level>3.1</level>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	for what, n := range map[string]int{"<application>": 2, "<stream>": 3, "<meta>": 2, "held": 0, "waits": 0} {
		if strings.Count(got, what) != n {
			t.Errorf("%d times %s, want %d, in\n%s", strings.Count(got, what), what, n, got)
		}
	}
	relay.streams = nil
	if got := page(); !strings.Contains(got, "<server><application><name>live</name><live><nclients>0</nclients></live></application></server>") {
		t.Errorf("without streams: %s", got)
	}
}
