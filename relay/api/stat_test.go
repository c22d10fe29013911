package api

import (
	"encoding/xml"
	"net/http"
	"reflect"
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

// insists parses the page as NOALBS does, which treats a page without a required element, or
// with a number out of range, as a server that is down. The root's elements are those that an
// exporter requires.
type insists struct {
	Version  *string `xml:"nginx_version"`
	Module   *string `xml:"nginx_rtmp_version"`
	Compiler *string `xml:"compiler"`
	Built    *string `xml:"built"`
	Pid      *uint32 `xml:"pid"`
	Uptime   *uint64 `xml:"uptime"`
	Accepted *uint64 `xml:"naccepted"`
	BwIn     *uint64 `xml:"bw_in"`
	BytesOut *uint64 `xml:"bytes_out"`
	Server   *struct {
		Apps []struct {
			Name *string `xml:"name"`
			Live *struct {
				Streams []struct {
					Name    *string `xml:"name"`
					BwVideo *uint32 `xml:"bw_video"`
					Clients *uint32 `xml:"nclients"`
					Meta    []struct {
						Video *struct {
							Width     *uint32   `xml:"width"`
							Height    *uint32   `xml:"height"`
							FrameRate *float64  `xml:"frame_rate"`
							Codec     *string   `xml:"codec"`
							Compat    []uint32  `xml:"compat"`
							Level     []float64 `xml:"level"`
						} `xml:"video"`
						Audio *struct {
							Channels   []uint32 `xml:"channels"`
							SampleRate []uint32 `xml:"sample_rate"`
						} `xml:"audio"`
					} `xml:"meta"`
				} `xml:"stream"`
			} `xml:"live"`
		} `xml:"application"`
	} `xml:"server"`
}

// lacks returns the required elements that are missing.
func lacks(v reflect.Value, at string) (out []string) {
	switch v.Kind() { //nolint:exhaustive // the rest holds nothing
	case reflect.Pointer:
		if v.IsNil() {
			return []string{at}
		}
		return lacks(v.Elem(), at)
	case reflect.Struct:
		for i := range v.NumField() {
			out = append(out, lacks(v.Field(i), at+"."+v.Type().Field(i).Name)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, lacks(v.Index(i), at)...)
		}
	}
	return out
}

// For any stream, also with inconsistent rates, readers of nginx-rtmp's page can parse this one.
func TestStatIsRead(t *testing.T) {
	from := func(bitrate, sound float64) *Publisher {
		return &Publisher{Session: "s", Bitrate: bitrate, Sound: sound}
	}
	video := []Track{{Codec: "H.264", Width: 1280, Height: 720}, {Codec: "AAC", SampleRate: 48000, Channels: 2}}
	relay := &several{}
	h := New(Options{Relay: relay, Routes: &fakeRoutes{}, Events: NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return "" }})
	for name, all := range map[string][]Stream{
		"nothing":     nil,
		"new":         {{Name: "live/a", State: "live", Publisher: from(0, 0)}},
		"sound":       {{Name: "live/a", State: "live", Publisher: from(96_000, 97_000), Tracks: video[1:]}},
		"video alone": {{Name: "live/a", State: "live", Publisher: from(2e6, 0), Tracks: video[:1]}},
		"fast":        {{Name: "live/a", State: "live", Publisher: from(3e9, 1e5), Tracks: video}},
		"odd codec":   {{Name: "live/a", State: "live", Publisher: from(1, 0), Tracks: []Track{{Codec: "AV1", Level: "5.1 high"}}}},
		"many": {
			{Name: "cam/a", State: "live", Publisher: from(1e6, 1e5), Tracks: video},
			{Name: "live/a", State: "held"},
			{Name: "live/b", State: "suspect", Publisher: from(1e6, 1e5)},
			{Name: "live/c", State: "live", Publisher: from(1e6, 1e5), Tracks: video},
		},
	} {
		relay.streams = all
		text := ask(h, "GET", "/api/v1/stat/nginx-rtmp").Body.String()
		var page insists
		if err := xml.Unmarshal([]byte(text), &page); err != nil {
			t.Errorf("%s: got %v in\n%s", name, err, text)
			continue
		}
		if missing := lacks(reflect.ValueOf(page), "rtmp"); len(missing) > 0 || len(page.Server.Apps) == 0 {
			t.Errorf("%s: it has no %v:\n%s", name, missing, text)
		}
		if n := strings.Count(text, "<stream>"); strings.Count(text, "<publishing/>") != 2*n || strings.Count(text, "<active/>") != 2*n {
			t.Errorf("%s: got %d streams in\n%s", name, n, text)
		}
	}
}

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
			t.Errorf("got %d times %s, want %d, in\n%s", strings.Count(got, what), what, n, got)
		}
	}
	relay.streams = nil
	if got := page(); !strings.Contains(got, "<server><application><name>live</name><live><nclients>0</nclients></live></application></server>") {
		t.Errorf("without streams: got %s", got)
	}
}
