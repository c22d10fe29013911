//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// TestPeersChangeNetworks changes the networks of a publisher and a viewer. Both sessions continue, first
// only with packets from the new address and then with an ICE restart.
func TestPeersChangeNetworks(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	up, down := udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{}), udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{})
	b := startBrowser(t)
	w := b.openClientPage().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880, Proxied: true, ProxyPort: up.Port()})
	v := b.openClientPage().view(whepOptions{URL: r.url("http", "/"+stream+"/whep"), Proxied: true, ProxyPort: down.Port()})
	v.waitDecoded(30)
	session := r.publisherID(stream)
	for _, s := range []struct {
		who  string
		line *faultnet.UDPProxy
		of   negotiated
	}{{"publisher", up, w}, {"viewer", down, v}} {
		_, tag := s.of.resource()
		v.longestGap()
		s.line.Rebind()
		if err := s.of.restart(); err != nil {
			t.Fatalf("the %s: %v", s.who, err)
		}
		if _, now := s.of.resource(); now == tag {
			t.Errorf("the %s still has the old entity tag", s.who)
		}
		v.waitDecoded(60)
		t.Logf("the %s changed its network: longest gap %v", s.who, v.longestGap())
	}
	v.waitTone(880)
	if now := r.publisherID(stream); now != session {
		t.Errorf("got session %s, want %s", now, session)
	}
}

// negotiated is what publishers and viewers have in common.
type negotiated interface {
	resource() (url, etag string)
	restart() error
}

// publisherID returns the ID of the session that feeds a stream.
func (r *relay) publisherID(stream string) string {
	r.t.Helper()
	var s struct {
		Publisher struct{ Session string }
	}
	r.getStream(stream, &s)
	return s.Publisher.Session
}

// getStream reads the status of a stream from the API.
func (r *relay) getStream(stream string, out any) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(fetch(r.t, r.url("admin", "/api/v1/streams/"+stream))), out); err != nil {
		r.t.Fatal(err)
	}
}

// TestBFramesInBrowser checks that a browser shows a stream with B-frames without them, that the API
// reports this, and that a transcode contains all frames.
func TestBFramesInBrowser(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := startRelay(t, "--config", config(t, "defaults: {play_wait: 10s, transcode: [{name: web, height: 360, video: 1M}]}\n"))
	const stream = "live/cam"
	startFFmpeg(t, "-re", "-f", "lavfi", "-i", "testsrc2=rate=30:size=640x360", "-c:v", "libx264", "-preset", "veryfast",
		"-bf", "3", "-g", "60", "-pix_fmt", "yuv420p", "-f", "flv", r.url("rtmp", "/"+stream))
	r.waitLive(stream)
	p := startBrowser(t).openClientPage()
	rate := func(name string) float64 {
		v := p.view(whepOptions{URL: r.url("http", "/"+name+"/whep")})
		v.waitDecoded(20)
		from, began := v.stats(), time.Now()
		sleep(t, 4*time.Second)
		to := v.stats()
		fps := float64(to.Frames-from.Frames) / time.Since(began).Seconds()
		t.Logf("%s: got %.1f fps and %d freezes", name, fps, to.Freezes-from.Freezes)
		v.leave()
		return fps
	}
	if fps := rate(stream); fps < 5 || fps > 20 {
		t.Errorf("got %.1f fps", fps)
	}
	if fps := rate(stream + "~web"); fps < 22 && !raceEnabled {
		t.Errorf("got %.1f fps of the transcode", fps)
	}
	var s struct {
		Publisher struct {
			BFrames bool `json:"b_frames"`
		}
	}
	r.getStream(stream, &s)
	if !s.Publisher.BFrames {
		t.Error("API: got no notice of B-frames")
	}
	r.waitLog(0, "B-frames are dropped", func(l logLine) bool { return strings.Contains(l.text, "B-frames are left out") })
}

// unconnectedOffer is a valid offer of a peer that does not exist.
var unconnectedOffer = strings.ReplaceAll(`v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=msid-semantic: WMS s
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=rtcp-mux
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99
a=setup:actpass
a=mid:0
a=sendrecv
a=msid:s v
a=rtpmap:96 H264/90000
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=ssrc:1234 cname:x
`, "\n", "\r\n")

// TestManyUnconnectedSessions opens ten thousand sessions that never connect. They must be refused soon,
// cost little, and not affect other sessions.
func TestManyUnconnectedSessions(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg")
	r := startRelay(t)
	const stream, all = "live/cam", 10000
	startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
	r.waitLive(stream)
	c, err := openClient(t, r.addrs["rtmp"], "play", stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := watchClient(t, c, true)
	v.waitFrames(50)
	before := r.metric("process_resident_memory_bytes")
	counts := map[int]int{}
	var mu sync.Mutex
	var posting sync.WaitGroup
	next := make(chan int)
	for range 16 {
		posting.Go(func() {
			for i := range next {
				path := "/" + stream + "/whep"
				if i%2 == 0 {
					path = fmt.Sprintf("/live/s%d/whip", i)
				}
				res, err := http.Post(r.url("http", path), "application/sdp", strings.NewReader(unconnectedOffer))
				if err != nil {
					t.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				mu.Lock()
				counts[res.StatusCode]++
				mu.Unlock()
			}
		})
	}
	began := time.Now()
	for i := range all {
		next <- i
	}
	close(next)
	posting.Wait()
	grown := r.metric("process_resident_memory_bytes") - before
	t.Logf("%d offers in %v: %v; %.0f MiB more", all, time.Since(began), counts, grown/(1<<20))
	if counts[http.StatusServiceUnavailable] < all/2 || counts[http.StatusCreated] == 0 || counts[http.StatusCreated]+counts[http.StatusServiceUnavailable] != all {
		t.Errorf("got %v", counts)
	}
	if grown > 300<<20 && !raceEnabled {
		t.Errorf("got %.0f MiB more memory", grown/(1<<20))
	}
	v.waitFrames(50)
	v.checkOpen()
}

// TestICEPaths checks that media works over TCP without UDP, with an ICE-lite relay, and with announced
// addresses.
func TestICEPaths(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium")
	awaitBrowser(t)
	b := startBrowser(t)
	for name, flags := range map[string][]string{
		"tcp":    {"--webrtc.udp_listen", "", "--webrtc.tcp_listen", "127.0.0.1:0"},
		"lite":   {"--webrtc.ice_lite"},
		"public": {"--webrtc.public_ips", "192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, append(flags, "--defaults.play_wait", "10s")...)
			p := b.openClientPage()
			defer p.close()
			w := p.publish(whipOptions{URL: r.url("http", "/live/cam/whip"), Tone: 880})
			v := p.view(whepOptions{URL: r.url("http", "/live/cam/whep")})
			v.waitDecoded(40)
			v.waitTone(880)
			if err := v.restart(); err != nil {
				t.Error(err)
			}
			v.waitDecoded(40)
			var answer string
			w.eval(&answer, "s.pc.remoteDescription.sdp")
			for what, want := range map[string]bool{"tcptype passive": name == "tcp", "a=ice-lite": name == "lite", "192.0.2.7": name == "public", ".local": false} {
				if strings.Contains(answer, what) != want {
					t.Errorf("got %q in the answer: %v\n%s", what, !want, answer)
				}
			}
			v.leave()
			w.leave()
		})
	}
}
