//go:build unix

package e2e

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const nginxStatConf = `load_module %[1]s;
daemon off; master_process off; worker_processes 1; user root;
pid %[2]s/pid; error_log %[2]s/error.log info;
events { worker_connections 64; }
rtmp { server { listen %[3]s; application live { live on; } } }
http { access_log off; server { listen %[4]s; location /stat { rtmp_stat all; } } }
`

// startNginxStat runs nginx-rtmp with a statistics page.
func startNginxStat(t *testing.T) (rtmp, stat string) {
	t.Helper()
	program := "/usr/sbin/nginx"
	if _, err := os.Stat(program); err != nil {
		skipOrFail(t, "nginx is not installed")
	}
	if _, err := os.Stat(nginxModule); err != nil {
		skipOrFail(t, "nginx-rtmp is not installed")
	}
	dir := t.TempDir()
	rtmp, stat = freeAddr(t), freeAddr(t)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxStatConf, nginxModule, dir, rtmp, stat), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, program, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf)
	waitUntil(t, "nginx listens", func() bool {
		c, err := net.DialTimeout("tcp", stat, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return rtmp, "http://" + stat + "/stat"
}

// statValues are the values that NOALBS reads, and others to compare.
type statValues struct {
	Apps []struct {
		Name    string `xml:"name"`
		Streams []struct {
			Name    string `xml:"name"`
			BwIn    uint32 `xml:"bw_in"`
			BytesIn uint32 `xml:"bytes_in"`
			BwOut   uint32 `xml:"bw_out"`
			BwAudio uint32 `xml:"bw_audio"`
			BwVideo uint32 `xml:"bw_video"`
			Time    uint32 `xml:"time"`
			Clients uint32 `xml:"nclients"`
			Meta    *struct {
				Video struct {
					Width     uint32  `xml:"width"`
					Height    uint32  `xml:"height"`
					FrameRate float64 `xml:"frame_rate"`
					Codec     string  `xml:"codec"`
					Compat    uint32  `xml:"compat"`
					Level     float64 `xml:"level"`
				} `xml:"video"`
				Audio struct {
					Codec      string `xml:"codec"`
					Profile    string `xml:"profile"`
					Channels   uint32 `xml:"channels"`
					SampleRate uint32 `xml:"sample_rate"`
				} `xml:"audio"`
			} `xml:"meta"`
		} `xml:"live>stream"`
	} `xml:"server>application"`
}

func readStat(t *testing.T, text string) (out statValues) {
	t.Helper()
	if err := xml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("parse statistics: %v:\n%s", err, text)
	}
	return out
}

// elements returns the paths of all elements of an XML document.
func elements(t *testing.T, text string) (out []string) {
	t.Helper()
	var at []string
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err == io.EOF { //nolint:errorlint // it is what a decoder returns
			slices.Sort(out)
			return slices.Compact(out)
		}
		if err != nil {
			t.Fatalf("parse statistics: %v:\n%s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			at = append(at, token.Name.Local)
			out = append(out, strings.Join(at, "/"))
		case xml.EndElement:
			at = at[:len(at)-1]
		}
	}
}

// TestStat pushes to nginx-rtmp and to the relay and checks that a client of nginx's statistics can read
// those of the relay and gets equal values.
func TestStat(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg")
	server, page := startNginxStat(t)
	r := startRelay(t)
	own := r.url("admin", "/api/v1/stat/nginx-rtmp")
	pusher := launch(t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-re",
		"-f", "lavfi", "-i", "testsrc2=size=640x480:rate=30", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-map", "0", "-map", "1", "-flags", "+global_header", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30",
		"-b:v", "800k", "-minrate", "800k", "-maxrate", "800k", "-bufsize", "200k", "-c:a", "aac", "-b:a", "96k",
		"-f", "tee", "[f=flv]rtmp://"+server+"/live/cam|[f=flv]"+r.url("rtmp", "/live/cam"))
	var theirs, ours string
	waitUntilWithin(t, slack(40*time.Second), "nginx has measured", func() bool { // nginx updates them every ten seconds
		theirs = fetch(t, page)
		return strings.Contains(theirs, "<publishing/>") && !strings.Contains(theirs, "<bw_video>0</bw_video>")
	})
	status, header, ours := httpRequest(t, http.MethodGet, own)
	if status != http.StatusOK || header.Get("Content-Type") != "text/xml" {
		t.Errorf("got %d, %v", status, header)
	}
	have := elements(t, ours)
	for _, e := range elements(t, theirs) {
		if !slices.Contains(have, e) {
			t.Errorf("got no %s in\n%s", e, ours)
		}
	}
	a, b := readStat(t, theirs), readStat(t, ours)
	if len(b.Apps) != 1 || b.Apps[0].Name != "live" || len(b.Apps[0].Streams) != 1 || b.Apps[0].Streams[0].Name != "cam" {
		t.Fatalf("got %s", ours)
	}
	want, got := a.Apps[0].Streams[0], b.Apps[0].Streams[0]
	for name, v := range map[string][2]uint32{
		"bw_in": {want.BwIn, got.BwIn}, "bw_video": {want.BwVideo, got.BwVideo}, "bw_audio": {want.BwAudio, got.BwAudio},
		"bytes_in": {want.BytesIn, got.BytesIn}, "time": {want.Time, got.Time},
	} {
		if ratio := float64(v[1]) / float64(v[0]); ratio < 0.7 || ratio > 1.4 {
			t.Errorf("%s: got %d, nginx has %d", name, v[1], v[0])
		}
	}
	if want.Clients != got.Clients || got.Meta == nil || *got.Meta != *want.Meta {
		t.Errorf("got %+v of %d\nnginx has %+v of %d", got.Meta, got.Clients, want.Meta, want.Clients)
	}
	pusher.kill()
	waitUntilWithin(t, slack(10*time.Second), "the push has ended", func() bool {
		return !strings.Contains(fetch(t, own), "<stream>")
	})
	if b := readStat(t, fetch(t, own)); len(b.Apps) != 1 {
		t.Errorf("got %+v", b)
	}
}
