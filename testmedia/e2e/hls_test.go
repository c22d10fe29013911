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

// frontProxy is a proxy whose address remains while the relay behind it is replaced. While the relay is
// down or has no stream, it answers at once or holds requests until there is an answer.
type frontProxy struct {
	*httptest.Server
	target   atomic.Pointer[string]
	requests atomic.Int64 // requests so far
	retries  atomic.Bool  // whether it retries while the relay refuses connections, as load balancers do
}

var errAway = errors.New("the relay answered with Retry-After")

func newFront(t testing.TB, hold bool) *frontProxy {
	f := &frontProxy{}
	transport := &http.Transport{DisableKeepAlives: true}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			f.requests.Add(1)
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
		if !hold && !f.retries.Load() {
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

// setRelay sets the relay behind the proxy.
func (f *frontProxy) setRelay(r *relay) {
	addr := r.addrs["http"]
	f.target.Store(&addr)
}

// TestHLSOverARestart checks that over a restart of the relay no sequence number decreases for a player
// that polls, and that it gets Retry-After only until the stream is live.
func TestHLSOverARestart(t *testing.T) {
	t.Parallel()
	const stream = "live/cam"
	f := newFront(t, false)
	r := startRelay(t)
	f.setRelay(r)
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.waitSent(200)
	c := newHLSClient(t, &relay{t: t, addrs: map[string]string{"http": strings.TrimPrefix(f.URL, "http://")}}, stream)
	c.rules.AllowJumps = true
	v := c.watch(t)
	v.waitFrame(gen.ID{Source: 1, Number: 60})
	r.stop()
	again := startRelay(t)
	f.setRelay(again)
	publish(t, again, stream, gen.Options{Source: 2, GOP: 30, Start: time.Hour})
	again.waitLive(stream)
	live := time.Now()
	first := v.waitFrame(gen.ID{Source: 2})
	if took := first.at.Sub(live); took > slack(6*time.Second) {
		t.Errorf("the viewer resumed %v after the stream was live", took)
	}
	v.waitFrame(gen.ID{Source: 2, Number: 90})
	if n := v.missingFrames(2); n > 0 {
		t.Errorf("got %d frames of the second push missing", n)
	}
	v.checkOpen()
	t.Logf("the viewer resumed %v after the stream was live", first.at.Sub(live))
}

// TestFFmpegByHLS copies a stream with ffmpeg over HLS while pushes are killed, and over a restart of the
// relay behind a proxy that holds requests. The copy must decode.
func TestFFmpegByHLS(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	const stream = "live/cam"
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "push", true: "relay"}[restart], func(t *testing.T) {
			t.Parallel()
			f := newFront(t, true)
			r := startRelay(t)
			f.setRelay(r)
			one := startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
			r.waitLive(stream)
			file := filepath.Join(t.TempDir(), "copy.ts")
			copying := startFFmpeg(t, "-i", f.URL+"/"+stream+"/index.m3u8", "-c", "copy", "-t", "22", file)
			waitUntil(t, "ffmpeg plays", func() bool {
				return r.metric(`holdfast_egress_bytes_total{protocol="hls"}`) > 200_000
			})
			sleep(t, 3*time.Second)
			one.kill()
			if restart {
				r.stop()
				r = startRelay(t)
				f.setRelay(r)
			} else {
				r.waitBreak(0)
				sleep(t, 3*time.Second)
			}
			startEncoder(t, r.url("rtmp", "/"+stream), encoderSource{size: "640x360", tone: true})
			if err := copying.wait(2 * waitLimit); err != nil {
				t.Errorf("run ffmpeg: %v", err)
			}
			for _, output := range copying.lines.all() {
				if !isHarmlessWarning(output, restart) {
					t.Errorf("ffmpeg printed %s", output)
				}
			}
			out := runProgram(t, "ffprobe", "-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", file)
			frames, _ := strconv.Atoi(strings.Trim(strings.Split(strings.TrimSpace(out), "\n")[0], ", "))
			if errs := runProgram(t, "ffmpeg", "-v", "error", "-i", file, "-f", "null", "-"); errs != "" {
				t.Errorf("decode the copy: %s", errs)
			}
			t.Logf("got %d video frames", frames)
			if frames < 250 {
				t.Errorf("got %d video frames, want those of 22 s", frames)
			}
		})
	}
}

// isHarmlessWarning reports whether a warning of ffmpeg is known and harmless. ffmpeg reads the init
// section again with each playlist. After a restart, timestamps start again after an EXT-X-DISCONTINUITY,
// about which ffmpeg warns before it corrects them.
func isHarmlessWarning(output string, restart bool) bool {
	known := []string{"duplicated MOOV", "Last message repeated"}
	if restart {
		known = append(known, "out of order", "segments ahead, expired from playlists", "Non-monotonous DTS", "changing to", "keepalive request failed", "Timestamps are unset")
	}
	for _, k := range known {
		if strings.Contains(output, k) {
			return true
		}
	}
	return output == ""
}
