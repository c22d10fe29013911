package api

import (
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stat serves a page like the statistics page of nginx-rtmp, for programs that read that page. As
// there, streams without a publisher are not listed. Rates are in bits per second, times in
// milliseconds.
func stat(relay Relay, version string) http.HandlerFunc {
	started := time.Now()
	return func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		out := statPage{
			Server: "Holdfast " + version, Version: "Holdfast " + version, Compiler: runtime.Version(), Pid: os.Getpid(),
			Uptime: int64(now.Sub(started).Seconds()),
		}
		for _, s := range relay.Streams() {
			if s.Publisher != nil && (s.State == "live" || s.State == "suspect") {
				out.add(now, s)
			}
		}
		if len(out.Apps) == 0 { // readers require one
			out.Apps = []*statApp{{Name: "live"}}
		}
		b, err := xml.MarshalIndent(out, "", "")
		if err != nil {
			Problem(w, http.StatusInternalServerError, "the answer cannot be written as XML", "the log of this relay may say more")
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write(append([]byte(xml.Header), marks.Replace(string(b))...)) // fails if the client has gone
	}
}

// marks abbreviates empty elements as nginx-rtmp does, because some readers search for the
// abbreviated text.
var marks = strings.NewReplacer("<publishing></publishing>", "<publishing/>", "<active></active>", "<active/>")

// statPage has all elements of nginx-rtmp's page, because some readers require them.
type statPage struct {
	XMLName  xml.Name `xml:"rtmp"`
	Server   string   `xml:"nginx_version"`
	Version  string   `xml:"nginx_rtmp_version"`
	Compiler string   `xml:"compiler"`
	Built    string   `xml:"built"`
	Pid      int      `xml:"pid"`
	Uptime   int64    `xml:"uptime"`    // seconds
	Accepted int      `xml:"naccepted"` // current connections; past ones are not counted
	traffic
	Apps []*statApp `xml:"server>application"`
}

// traffic is the traffic in and out.
type traffic struct {
	BwIn     int64  `xml:"bw_in"`
	BytesIn  uint64 `xml:"bytes_in"`
	BwOut    int64  `xml:"bw_out"`
	BytesOut uint64 `xml:"bytes_out"`
}

type statApp struct {
	Name    string       `xml:"name"`
	Streams []statStream `xml:"live>stream"`
	Clients int          `xml:"live>nclients"`
}

type statStream struct {
	Name string `xml:"name"`
	Time int64  `xml:"time"`
	traffic
	BwAudio    int64        `xml:"bw_audio"`
	BwVideo    int64        `xml:"bw_video"`
	Publisher  []statClient `xml:"client"`
	Meta       *statMeta    `xml:"meta"` // of a stream with video
	Clients    int          `xml:"nclients"`
	Publishing struct{}     `xml:"publishing"`
	Active     struct{}     `xml:"active"`
}

type statClient struct {
	ID         uint32   `xml:"id"`
	Address    string   `xml:"address"`
	Time       int64    `xml:"time"`
	Agent      string   `xml:"flashver"`
	Dropped    int      `xml:"dropped"`
	Sync       int      `xml:"avsync"`
	Timestamp  int64    `xml:"timestamp"`
	Publishing struct{} `xml:"publishing"`
	Active     struct{} `xml:"active"`
}

type statMeta struct {
	Video statVideo `xml:"video"`
	Audio statAudio `xml:"audio"`
}

type statVideo struct {
	Width     int     `xml:"width"`
	Height    int     `xml:"height"`
	FrameRate float64 `xml:"frame_rate"`
	Codec     string  `xml:"codec"`
	Profile   string  `xml:"profile"`
	Compat    int     `xml:"compat"`          // constraint flags of H.264
	Level     string  `xml:"level,omitempty"` // a number
}

type statAudio struct {
	Codec      string `xml:"codec,omitempty"`
	Profile    string `xml:"profile,omitempty"`
	Channels   int    `xml:"channels,omitempty"`
	SampleRate int    `xml:"sample_rate,omitempty"`
}

func (p *statPage) add(now time.Time, s Stream) {
	app, name, _ := strings.Cut(s.Name, "/")
	at := slices.IndexFunc(p.Apps, func(a *statApp) bool { return a.Name == app })
	if at < 0 {
		at = len(p.Apps)
		p.Apps = append(p.Apps, &statApp{Name: app})
	}
	viewers := 0
	for _, n := range s.Viewers {
		viewers += n
	}
	from := s.Publisher
	host, _, err := net.SplitHostPort(from.Remote)
	if err != nil {
		host = from.Remote
	}
	since := now.Sub(from.Since).Milliseconds()
	out := statStream{
		Name: name, Time: since, Clients: viewers + 1, Meta: metaOf(s),
		traffic: traffic{BwIn: int64(from.Bitrate), BytesIn: s.Received, BwOut: int64(from.Bitrate) * int64(viewers), BytesOut: s.Sent},
		BwAudio: int64(from.Sound), BwVideo: max(0, int64(from.Bitrate)-int64(from.Sound)), // measured separately
		Publisher: []statClient{{
			ID: crc32.ChecksumIEEE([]byte(from.Session)), Address: host, Time: since, Agent: from.Agent, Timestamp: int64(s.Clock * 1000),
		}},
	}
	p.Apps[at].Streams = append(p.Apps[at].Streams, out)
	p.Apps[at].Clients += out.Clients
	p.Accepted += out.Clients
	p.BwIn += out.BwIn
	p.BytesIn += out.BytesIn
	p.BwOut += out.BwOut
	p.BytesOut += out.BytesOut
}

// metaOf describes the tracks. It returns nil if there is no video, because readers require the size
// of the video.
func metaOf(s Stream) *statMeta {
	var out *statMeta
	var sound statAudio
	for _, t := range s.Tracks {
		if t.SampleRate > 0 || t.Channels > 0 {
			sound = statAudio{Codec: codecName(t.Codec), Profile: t.Profile, Channels: t.Channels, SampleRate: t.SampleRate}
			continue
		}
		v := statVideo{Width: t.Width, Height: t.Height, FrameRate: t.FrameRate, Codec: codecName(t.Codec), Profile: t.Profile}
		if v.FrameRate == 0 {
			v.FrameRate = s.Publisher.FrameRate
		}
		if _, err := strconv.ParseFloat(t.Level, 64); err == nil {
			v.Level = t.Level
		}
		// avc1.PPCCLL (RFC 6381, 3.3): profile, constraints and level in hexadecimal.
		if _, err := fmt.Sscanf(t.RFC6381, "avc1.%2x%2x", new(int), &v.Compat); err != nil {
			v.Compat = 0
		}
		out = &statMeta{Video: v}
	}
	if out != nil {
		out.Audio = sound
	}
	return out
}

// codecName returns a codec's name in nginx-rtmp, such as H264 or AAC.
func codecName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, ".", "")) }
