//go:build unix

package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia"
)

// encodedTracks returns packets encoded by ffmpeg: video of 30 fps with a keyframe every gop frames, and a
// tone at a sample rate.
func encodedTracks(t testing.TB, length time.Duration, gop, rate int) []*packetbuf.Packet {
	t.Helper()
	file := filepath.Join(t.TempDir(), "encoded.flv")
	seconds := fmt.Sprint(length.Seconds())
	runProgram(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration="+seconds,
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:sample_rate=%d:duration=%s", rate, seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", fmt.Sprint(gop), "-keyint_min", fmt.Sprint(gop), "-sc_threshold", "0",
		"-c:a", "aac", "-ac", "2", file)
	bytes, err := os.ReadFile(file) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	packets, err := testmedia.ReadFLV(bytes)
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

// replay publishes packets in real time, and ends with the test.
func replay(t testing.TB, r *relay, stream string, packets []*packetbuf.Packet) {
	t.Helper()
	c, err := openClient(t, r.addrs["rtmp"], "publish", stream, nil)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			if _, err := c.read(); err != nil {
				return
			}
		}
	})
	running.Go(func() {
		for start := time.Now(); len(packets) > 0; packets = packets[1:] {
			p := packets[0]
			select {
			case <-time.After(time.Until(start.Add(p.DTS))):
			case <-done:
				return
			}
			m := &rawmessage.Message{MessageStreamID: streamID, Timestamp: p.DTS, ChunkStreamID: 5, Type: typeData, Body: p.Payload}
			switch p.Track {
			case packetbuf.Video:
				m.ChunkStreamID, m.Type, m.Body = 6, typeVideo, videoBody(p)
			case packetbuf.Audio:
				m.ChunkStreamID, m.Type, m.Body = 4, typeAudio, audioBody(p)
			case packetbuf.Data:
			}
			if err := c.write(m); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = c.conn.Close()
		running.Wait()
	})
}

// hlsJS serves a page that plays a stream with hls.js and returns its URL, or "" if hls.js cannot be
// fetched. E2E_HLSJS names a file to use instead.
func hlsJS(t testing.TB, playlist string) string {
	t.Helper()
	path := fetchPlayer(t, "E2E_HLSJS", "hls.js", "1.7.4", "hls.min.js")
	if path == "" {
		return ""
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hls.js" {
			http.ServeFile(w, r, path)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>hls.js</title><video id=video autoplay></video><script src=/hls.js></script><script>
			window.hlsErrors = []
			const hls = new Hls()
			hls.on(Hls.Events.ERROR, (_, e) => hlsErrors.push((e.fatal ? 'fatal ' : '') + e.details + ' at ' + video.currentTime.toFixed(2)))
			hls.loadSource(%q)
			hls.attachMedia(video)
		</script>`, playlist)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// fetchPlayer returns the script of a player, from npm or the file named in an environment variable. It
// returns "" if the script cannot be fetched, which fails the test in CI.
func fetchPlayer(t testing.TB, env, name, version, file string) string {
	t.Helper()
	if path := os.Getenv(env); path != "" {
		return path
	}
	if _, err := exec.LookPath("npm"); err != nil {
		skipPlayer(t, name, "npm, by which it is fetched, is not installed")
		return ""
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "npm", "pack", "--silent", name+"@"+version)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		skipPlayer(t, name, fmt.Sprintf("%v\n%s", err, out))
		return ""
	}
	runProgram(t, "tar", "-xzf", filepath.Join(dir, name+"-"+version+".tgz"), "-C", dir)
	return filepath.Join(dir, "package", "dist", file)
}

// skipPlayer logs why a test leaves out a player. In CI it fails the test.
func skipPlayer(t testing.TB, name, reason string) {
	t.Helper()
	if inCI {
		t.Fatalf("without %s: %s", name, reason)
	}
	t.Logf("without %s: %s", name, reason)
}

// recordPlayback records how the page's video plays: the longest time without progress of the clock and of
// the frames, seeks, and changes of source.
func (p *page) recordPlayback() {
	p.t.Helper()
	p.eval(nil, `(() => {
		window.watch = {frozen: 0, still: 0, log: [], from: video.currentTime}
		let at = video.currentTime, since = performance.now(), frames = 0, drawn = since
		for (const e of ['error', 'emptied', 'seeking', 'waiting', 'ended']) video.addEventListener(e, () => watch.log.push(e + ' ' + video.currentTime.toFixed(2)))
		setInterval(() => {
			const now = performance.now(), n = video.getVideoPlaybackQuality().totalVideoFrames
			if (video.currentTime !== at) { at = video.currentTime; since = now }
			if (n !== frames) { frames = n; drawn = now }
			watch.frozen = Math.max(watch.frozen, now - since)
			watch.still = Math.max(watch.still, now - drawn)
			watch.at = at
			watch.frames = frames
			watch.heard = video.webkitAudioDecodedByteCount
		}, 20)
	})()`)
}

type watch struct {
	Frozen, Still, At float64
	Frames, Heard     int
	Log               []string
}

// tracksOf returns the packets that keep accepts, ordered by time. Metadata is left out unless announced
// is set.
func tracksOf(announced bool, keep func(*packetbuf.Packet) bool, sources ...[]*packetbuf.Packet) (out []*packetbuf.Packet) {
	for _, packets := range sources {
		for _, p := range packets {
			if p.Track == packetbuf.Data && !announced || !keep(p) {
				continue
			}
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b *packetbuf.Packet) int { return cmp.Compare(a.DTS, b.DTS) })
	return out
}

// configured returns the packets of one track from a time on, with its configuration in front.
func configured(packets []*packetbuf.Packet, track packetbuf.Track, from, to time.Duration) (out []*packetbuf.Packet) {
	for _, p := range packets {
		switch {
		case p.Track != track:
		case !p.Media():
			out = append(out, &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: from, Payload: p.Payload})
		case p.DTS >= from && p.DTS < to:
			out = append(out, p)
		}
	}
	return out
}

// TestRecordingsHaveNoAudioGap publishes announced audio that starts three seconds late and pauses for
// three. The recordings of ffmpeg over RTMP, HTTP-FLV and HLS must have no gap.
func TestRecordingsHaveNoAudioGap(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	const stream, length = "live/cam", 9 * time.Second
	media := encodedTracks(t, 16*time.Second, 30, 48000)
	sent := tracksOf(true, func(p *packetbuf.Packet) bool {
		return p.Track != packetbuf.Audio || p.DTS >= 3*time.Second && (p.DTS < 6*time.Second || p.DTS >= 9*time.Second)
	}, media, configured(media, packetbuf.Audio, 3*time.Second, 3*time.Second))
	r := startRelay(t, "--defaults.play_wait", "10s")
	recordings := append(r.recordBoth(stream, length), record(t, r.url("http", "/"+stream+"/index.m3u8"), length))
	replay(t, r, stream, sent)
	for _, rec := range recordings {
		if err := rec.wait(2*length + waitLimit); err != nil || !isHarmlessWarning(rec.output(), false) {
			t.Errorf("%s: %v\n%s", rec.cmd.Args, err, rec.output())
		}
		longest, end := rec.audioGap()
		t.Logf("%s: longest audio gap %.3f s", rec.cmd.Args, longest)
		if longest > 0.1 || end < length.Seconds()-1 {
			t.Errorf("%s: audio gap of %.3f s, and audio ends at %.3f", rec.cmd.Args, longest, end)
		}
	}
}

// audioGap returns the longest step between two audio packets of a recording, and the time of the last
// one, in seconds.
func (r recording) audioGap() (longest, last float64) {
	r.t.Helper()
	last = -1
	packets := runProgram(r.t, "ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=dts_time", "-of", "csv=p=0", r.file)
	for l := range strings.Lines(packets) {
		text := strings.Trim(l, ",\n")
		if text == "" {
			continue // side data
		}
		dts, err := strconv.ParseFloat(text, 64)
		if err != nil {
			r.t.Fatalf("parse ffprobe output %q: %v", l, err)
		}
		if last >= 0 {
			longest = max(longest, dts-last)
		}
		last = dts
	}
	return longest, last
}

// TestPlayersFollowTrackChanges publishes audio that was not announced and starts after six seconds, and
// changes its sample rate within a GOP. hls.js and the page must continue to play.
func TestPlayersFollowTrackChanges(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	awaitBrowser(t)
	const stream, begins, changes = "live/cam", 6500 * time.Millisecond, 10 * time.Second
	first, second := encodedTracks(t, 25*time.Second, 90, 48000), encodedTracks(t, 25*time.Second, 90, 44100)
	sent := tracksOf(false, func(*packetbuf.Packet) bool { return true },
		tracksOf(false, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video }, first),
		configured(first, packetbuf.Audio, begins, changes), configured(second, packetbuf.Audio, changes, time.Hour))
	r := startRelay(t)
	b := startBrowser(t)
	byHLS := hlsJS(t, r.url("http", "/"+stream+"/index.m3u8"))
	replay(t, r, stream, sent)
	r.waitLive(stream)
	players := map[string]*page{"page": b.openPage(r.url("http", "/"+stream+"/?by=mse"))}
	if byHLS != "" {
		players["hls.js"] = b.openPage(byHLS)
	}
	for _, p := range players {
		p.waitFor(waitContext(t), "window.video && video.currentTime > 0.3")
		p.recordPlayback()
	}
	for name, p := range players {
		p.waitFor(waitContext(t), "watch.at > watch.from + 10")
		var w watch
		p.eval(&w, "watch")
		t.Logf("%s: got %+v", name, w)
		if maximum := slack(time.Second).Seconds() * 1000; w.Frozen > maximum || w.Still > maximum || w.Heard == 0 {
			t.Errorf("%s: stopped for %.0f ms, video for %.0f ms, %d bytes of audio decoded", name, w.Frozen, w.Still, w.Heard)
		}
	}
	if p := players["hls.js"]; p != nil {
		var errs []string
		if p.eval(&errs, "hlsErrors.filter((e) => e.startsWith('fatal'))"); len(errs) > 0 {
			t.Errorf("got hls.js errors %v", errs)
		}
	}
}
