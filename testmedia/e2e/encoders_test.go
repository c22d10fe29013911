//go:build unix

package e2e

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// unitsApart has each NAL unit of a track's frames sent in a message of its own.
func unitsApart(c coded) coded {
	apart := c
	apart.frames = nil
	for _, f := range c.frames {
		for rest := f.payload; len(rest) > 4; {
			size := 4 + int(binary.BigEndian.Uint32(rest))
			apart.frames = append(apart.frames, codedFrame{f.dts, f.cto, f.key, rest[:size]})
			rest = rest[size:]
		}
	}
	return apart
}

// A publisher that sends one slice a message: viewers of all protocols are sent the encoder's
// pictures, whole, also those who join later, and the API counts pictures.
func TestOneSliceAMessage(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	r := start(t, "--defaults.play_wait", "10s")
	v := encode(t, "hvc1", ofPicture("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2:b-adapt=0:slices=4", "-tag:v", "hvc1")...)
	const stream = "live/slices"
	pushCoded(t, r, stream, unitsApart(v))
	var watchers sync.WaitGroup
	watchAll := func(frames int) {
		for name, watch := range viewersOf(t, r, stream) {
			if name == "HLS" { // has a silent track beside video alone
				watch = watch.videoAlone()
			}
			watchers.Go(func() {
				if err := same(watch, map[bool]coded{true: v}, frames); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	watchAll(60)
	watchers.Wait()
	watchAll(20)
	watchers.Wait()
	var shown struct {
		Publisher struct {
			FrameRate float64 `json:"frame_rate"`
			Repairs   []struct{ Track, Reason, Problem, Hint string }
		}
	}
	r.shows(stream, &shown)
	if rate := shown.Publisher.FrameRate; rate > 40 {
		t.Errorf("the API shows %v frames a second", rate)
	}
	if all := shown.Publisher.Repairs; len(all) != 1 || all[0].Reason != "split_frame" || all[0].Hint == "" {
		t.Errorf("the API shows the repairs %+v", all)
	}
	if r.metric(`holdfast_media_repairs_total{reason="split_frame",track="video"}`) == 0 {
		t.Error("no repair was counted")
	}
}

// A publisher that changes the size of its frames with new parameter sets in the media alone: the
// API, the HLS playlist and a viewer that joins then have the new size.
func TestSizeChangesInBand(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	r := start(t, "--defaults.play_wait", "10s")
	x265 := []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0", "-tag:v", "hvc1"}
	small := encode(t, "hvc1", ofPicture(append(x265, "-t", "2")...)...)
	large := encode(t, "hvc1", ofPicture(append(x265, "-t", "6", "-vf", "scale=640:360")...)...)
	sets, err := codec.HEVCParameterSets(large.config)
	if err != nil {
		t.Fatal(err)
	}
	both := small
	for _, f := range large.frames {
		if f.key {
			f.payload = slices.Concat(sets, f.payload)
		}
		f.dts += 2 * time.Second
		both.frames = append(both.frames, f)
	}
	const stream = "live/grows"
	pushCoded(t, r, stream, both)
	width := func() int {
		var shown struct{ Tracks []struct{ Width int } }
		if json.Unmarshal([]byte(fetch(t, r.url("admin", "/api/v1/streams/"+stream))), &shown) != nil || len(shown.Tracks) == 0 {
			return 0
		}
		return shown.Tracks[0].Width
	}
	for _, want := range []int{320, 640} {
		for deadline := time.Now().Add(patience); width() != want; wait(t, 50*time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the API shows a width of %d, want %d", width(), want)
			}
		}
	}
	for deadline := time.Now().Add(patience); !strings.Contains(fetch(t, r.url("http", "/"+stream+"/index.m3u8")), "RESOLUTION=640x360"); wait(t, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("HLS has\n%s", fetch(t, r.url("http", "/"+stream+"/index.m3u8")))
		}
	}
	c, err := playCoded(t, r, stream, allCodecs)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(bodies(c.read), map[bool]coded{true: both}, 5); err != nil {
		t.Error(err)
	}
}

// hashes returns those of the pictures that ffmpeg decodes.
func hashes(t *testing.T, args ...string) (all []string) {
	t.Helper()
	out := capture(t, "ffmpeg", slices.Concat([]string{"-nostdin", "-v", "error"}, args, []string{"-map", "0:v", "-f", "framemd5", "-"})...)
	for l := range strings.Lines(out) {
		if at := strings.LastIndex(l, ","); at > 0 && !strings.HasPrefix(l, "#") {
			all = append(all, strings.TrimSpace(l[at+1:]))
		}
	}
	return all
}

// A push with intra refresh, whose only IDR picture has left the buffer: programs join it at a
// recovery point and show nothing that the encoder did not make; other players are told why not.
func TestIntraRefresh(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	r := start(t, "--defaults.buffer.duration", "3s")
	file := filepath.Join(t.TempDir(), "refresh.flv")
	capture(t, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=rate=25:size=320x240:duration=30",
		"-c:v", "libx264", "-preset", "veryfast", "-x264-params", "intra-refresh=1:keyint=25:bframes=0", file)
	made := hashes(t, "-i", file)
	const stream = "live/refresh"
	ffmpeg(t, "-re", "-i", file, "-c", "copy", "-f", "flv", r.url("rtmp", "/"+stream))
	r.live(stream)
	for deadline := time.Now().Add(patience); ; wait(t, 100*time.Millisecond) {
		res, err := http.Get(r.url("http", "/"+stream+"/index.m3u8"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "no keyframe for") && strings.Contains(string(body), "keyframe interval") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("HLS answers %s %s %v", res.Status, body, err)
		}
	}
	r.expect(0, "that viewers are refused", func(l logLine) bool { return l.is("viewers refused: no keyframe") })
	for _, url := range []string{r.url("rtmp", "/"+stream), r.url("http", "/"+stream+".flv")} {
		shown := hashes(t, "-i", url, "-t", "3")
		for i, picture := range shown {
			if !slices.Contains(made, picture) {
				t.Errorf("%s: picture %d of %d is none that was made", url, i, len(shown))
				break
			}
		}
		if len(shown) < 40 {
			t.Errorf("%s: %d pictures in 3 s", url, len(shown))
		}
	}
}
