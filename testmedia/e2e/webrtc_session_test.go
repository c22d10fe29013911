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

// Publisher and viewer change their networks: both sessions go on, by what comes from the new
// address alone and by a restart of ICE.
func TestPeersChangeNetworks(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	r := start(t, "--defaults.play_wait", "10s")
	const stream = "live/cam"
	up, down := udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{}), udpProxy(t, r.addrs["webrtc"], faultnet.UDPOptions{})
	b := browse(t)
	w := b.clients().publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"), Tone: 880, Proxied: true, ProxyPort: up.Port()})
	v := b.clients().view(whepOptions{URL: r.url("http", "/"+stream+"/whep"), Proxied: true, ProxyPort: down.Port()})
	v.decoded(30)
	session := r.publisher(stream)
	for _, s := range []struct {
		who  string
		line *faultnet.UDPProxy
		of   negotiated
	}{{"publisher", up, w}, {"viewer", down, v}} {
		_, tag := s.of.resource()
		v.gap()
		s.line.Rebind()
		if err := s.of.restart(); err != nil {
			t.Fatalf("the %s: %v", s.who, err)
		}
		if _, now := s.of.resource(); now == tag {
			t.Errorf("the %s has the entity tag of before", s.who)
		}
		v.decoded(60)
		t.Logf("the %s changed its network: longest time without a picture %v", s.who, v.gap())
	}
	v.hearing(880)
	if now := r.publisher(stream); now != session {
		t.Errorf("session %s was %s", now, session)
	}
}

// negotiated is what publishers and viewers have in common.
type negotiated interface {
	resource() (url, etag string)
	restart() error
}

// publisher is the id of the session that feeds a stream.
func (r *relay) publisher(stream string) string {
	r.t.Helper()
	var s struct {
		Publisher struct{ Session string }
	}
	r.shows(stream, &s)
	return s.Publisher.Session
}

// shows has the API show a stream.
func (r *relay) shows(stream string, out any) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(fetch(r.t, r.url("admin", "/api/v1/streams/"+stream))), out); err != nil {
		r.t.Fatal(err)
	}
}

// A browser shows a stream with B pictures without them, and is told; a transcode shows it all.
func TestBPicturesInBrowser(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	r := start(t, "--config", config(t, "defaults: {play_wait: 10s, transcode: [{name: web, height: 360, video: 1M}]}\n"))
	const stream = "live/cam"
	ffmpeg(t, "-re", "-f", "lavfi", "-i", "testsrc2=rate=30:size=640x360", "-c:v", "libx264", "-preset", "veryfast",
		"-bf", "3", "-g", "60", "-pix_fmt", "yuv420p", "-f", "flv", r.url("rtmp", "/"+stream))
	r.live(stream)
	p := browse(t).clients()
	rate := func(name string) float64 {
		v := p.view(whepOptions{URL: r.url("http", "/"+name+"/whep")})
		v.decoded(20)
		from, began := v.stats(), time.Now()
		wait(t, 4*time.Second)
		to := v.stats()
		fps := float64(to.Frames-from.Frames) / time.Since(began).Seconds()
		t.Logf("%s: %.1f pictures per second, %d freezes", name, fps, to.Freezes-from.Freezes)
		v.leave()
		return fps
	}
	if fps := rate(stream); fps < 5 || fps > 20 {
		t.Errorf("%.1f pictures per second", fps)
	}
	if fps := rate(stream + "~web"); fps < 22 && !raced {
		t.Errorf("%.1f pictures per second of the transcode", fps)
	}
	var s struct {
		Publisher struct {
			BFrames bool `json:"b_frames"`
		}
	}
	r.shows(stream, &s)
	if !s.Publisher.BFrames {
		t.Error("the API does not say that there are B pictures")
	}
	r.expect(0, "B-frames are left out", func(l logLine) bool { return strings.Contains(l.text, "B-frames are left out") })
}

// strangersOffer is one that can be answered, and behind which nobody is.
var strangersOffer = strings.ReplaceAll(`v=0
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

// A stranger opens ten thousand sessions and connects none. It is refused soon, costs little,
// and disturbs nobody.
func TestStormOfSessions(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	r := start(t)
	const stream, all = "live/cam", 10000
	pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
	r.live(stream)
	c, err := openOn(t, r.addrs["rtmp"], "play", stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := watchClient(t, c, true)
	v.more(50)
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
				res, err := http.Post(r.url("http", path), "application/sdp", strings.NewReader(strangersOffer))
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
		t.Errorf("%v", counts)
	}
	if grown > 300<<20 && !raced {
		t.Errorf("%.0f MiB more", grown/(1<<20))
	}
	v.more(50)
	v.watching()
}

// Media finds its way over TCP where there is no UDP, with a relay that makes no checks of its
// own, and with addresses that it only announces.
func TestOtherWays(t *testing.T) {
	t.Parallel()
	need(t, "chromium")
	awaitBrowser(t)
	b := browse(t)
	for name, flags := range map[string][]string{
		"tcp":    {"--webrtc.udp_listen", "", "--webrtc.tcp_listen", "127.0.0.1:0"},
		"lite":   {"--webrtc.ice_lite"},
		"public": {"--webrtc.public_ips", "192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, append(flags, "--defaults.play_wait", "10s")...)
			p := b.clients()
			defer p.close()
			w := p.publish(whipOptions{URL: r.url("http", "/live/cam/whip"), Tone: 880})
			v := p.view(whepOptions{URL: r.url("http", "/live/cam/whep")})
			v.decoded(40)
			v.hearing(880)
			if err := v.restart(); err != nil {
				t.Error(err)
			}
			v.decoded(40)
			var answer string
			w.eval(&answer, "s.pc.remoteDescription.sdp")
			for what, want := range map[string]bool{"tcptype passive": name == "tcp", "a=ice-lite": name == "lite", "192.0.2.7": name == "public", ".local": false} {
				if strings.Contains(answer, what) != want {
					t.Errorf("the answer has %q: %v\n%s", what, !want, answer)
				}
			}
			v.leave()
			w.leave()
		})
	}
}
