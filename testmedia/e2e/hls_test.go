//go:build unix

package e2e

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// front is a proxy whose address stays while the relay behind it is another. While that is away
// or has no stream, it says so at once, or holds what is asked until there is an answer.
type front struct {
	*httptest.Server
	target atomic.Pointer[string]
	asked  atomic.Int64 // requests so far
	waits  atomic.Bool  // whether it keeps trying while the relay refuses connections, as balancers do
}

var errAway = errors.New("the relay says to come again")

func newFront(t testing.TB, hold bool) *front {
	f := &front{}
	transport := &http.Transport{DisableKeepAlives: true}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			f.asked.Add(1)
			r.Out.URL.Scheme, r.Out.URL.Host = "http", *f.target.Load()
		},
		ModifyResponse: func(r *http.Response) error {
			if hold && (r.StatusCode == http.StatusNotFound || r.StatusCode == http.StatusServiceUnavailable) {
				return errAway
			}
			return nil
		},
	}
	proxy.ErrorHandler = func(w http.ResponseWriter, r *http.Request, _ error) {
		if !hold && !f.waits.Load() {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(100 * time.Millisecond):
			proxy.ServeHTTP(w, r)
		}
	}
	f.Server = httptest.NewServer(proxy)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
		transport.CloseIdleConnections()
	})
	return f
}

// before has it stand before a relay.
func (f *front) before(r *relay) {
	addr := r.addrs["http"]
	f.target.Store(&addr)
}

// Over a restart of the relay no sequence goes back for a player that polls, and it is told to
// come again only until the stream is live.
func TestHLSOverARestart(t *testing.T) {
	t.Parallel()
	const stream = "live/cam"
	f := newFront(t, false)
	r := start(t)
	f.before(r)
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.atLeast(200)
	c := newHLSClient(t, &relay{t: t, addrs: map[string]string{"http": strings.TrimPrefix(f.URL, "http://")}}, stream)
	c.rules.AllowJumps = true
	v := c.watch(t)
	v.saw(gen.ID{Source: 1, Number: 60})
	r.stop()
	again := start(t)
	f.before(again)
	publish(t, again, stream, gen.Options{Source: 2, GOP: 30, Start: time.Hour})
	again.live(stream)
	live := time.Now()
	first := v.saw(gen.ID{Source: 2})
	if took := first.at.Sub(live); took > slack(6*time.Second) {
		t.Errorf("the viewer is back %v after the stream was live", took)
	}
	v.saw(gen.ID{Source: 2, Number: 90})
	if n := v.missing(2); n > 0 {
		t.Errorf("%d frames of the second push are missing", n)
	}
	v.watching()
	t.Logf("the viewer is back %v after the stream was live", first.at.Sub(live))
}

// ffmpeg copies a stream by HLS over pushes that are killed, and over a restart of the relay
// behind a proxy that holds what it asks meanwhile; what it wrote decodes.
func TestFFmpegByHLS(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	const stream = "live/cam"
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "push", true: "relay"}[restart], func(t *testing.T) {
			t.Parallel()
			f := newFront(t, true)
			r := start(t)
			f.before(r)
			one := pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
			r.live(stream)
			file := filepath.Join(t.TempDir(), "copy.ts")
			copying := ffmpeg(t, "-i", f.URL+"/"+stream+"/index.m3u8", "-c", "copy", "-t", "22", file)
			until(t, "ffmpeg plays", func() bool {
				return r.metric(`holdfast_egress_bytes_total{protocol="hls"}`) > 200_000
			})
			wait(t, 3*time.Second)
			one.kill()
			if restart {
				r.stop()
				r = start(t)
				f.before(r)
			} else {
				r.broke(0)
				wait(t, 3*time.Second)
			}
			pushing(t, r.url("rtmp", "/"+stream), source{picture: "640x360", tone: true})
			if err := copying.wait(2 * patience); err != nil {
				t.Errorf("ffmpeg: %v", err)
			}
			for _, said := range copying.said.all() {
				if !harmless(said, restart) {
					t.Errorf("ffmpeg says %s", said)
				}
			}
			out := capture(t, "ffprobe", "-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file)
			pictures, _ := strconv.Atoi(strings.Trim(strings.Split(strings.TrimSpace(out), "\n")[0], ", "))
			if errs := capture(t, "ffmpeg", "-v", "error", "-i", file, "-f", "null", "-"); errs != "" {
				t.Errorf("decoding the copy: %s", errs)
			}
			t.Logf("%d pictures", pictures)
			if pictures < 250 {
				t.Errorf("%d pictures of 22 s", pictures)
			}
		})
	}
}

// harmless tells of a warning of ffmpeg's whether it is known and means no harm: it reads the
// init section again with each playlist. After a restart the timestamps begin anew, behind an
// EXT-X-DISCONTINUITY, which it says and makes good.
func harmless(said string, restart bool) bool {
	known := []string{"duplicated MOOV", "Last message repeated"}
	if restart {
		known = append(known, "out of order", "segments ahead, expired from playlists", "Non-monotonous DTS", "changing to", "keepalive request failed", "Timestamps are unset")
	}
	for _, k := range known {
		if strings.Contains(said, k) {
			return true
		}
	}
	return said == ""
}
