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

// splitUnits puts each NAL unit of a track's frames into its own message.
func splitUnits(c codedTrack) codedTrack {
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

// TestOneSlicePerMessage publishes one slice per message. Viewers of all protocols, also late ones, must
// receive the encoder's whole frames, and the API must count frames.
func TestOneSlicePerMessage(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t, "--defaults.play_wait", "10s")
	v := encode(t, "hvc1", videoArgs("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2:b-adapt=0:slices=4", "-tag:v", "hvc1")...)
	const stream = "live/slices"
	pushCoded(t, r, stream, splitUnits(v))
	var watchers sync.WaitGroup
	watchAll := func(frames int) {
		for name, watch := range readersOf(t, r, stream) {
			if name == "HLS" { // has a silent track beside video only
				watch = watch.videoOnly()
			}
			watchers.Go(func() {
				if err := compareFrames(watch, map[bool]codedTrack{true: v}, frames); err != nil {
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
	r.getStream(stream, &shown)
	if rate := shown.Publisher.FrameRate; rate > 40 {
		t.Errorf("API: got %v frames per second", rate)
	}
	if all := shown.Publisher.Repairs; len(all) != 1 || all[0].Reason != "split_frame" || all[0].Hint == "" {
		t.Errorf("API: got repairs %+v", all)
	}
	if r.metric(`holdfast_media_repairs_total{reason="split_frame",track="video"}`) == 0 {
		t.Error("got no repair counted")
	}
}

// TestSizeChangesInBand changes the frame size with new parameter sets in the media only. The API, the HLS
// playlist and a viewer that joins then must have the new size.
func TestSizeChangesInBand(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t, "--defaults.play_wait", "10s")
	x265 := []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0", "-tag:v", "hvc1"}
	small := encode(t, "hvc1", videoArgs(append(x265, "-t", "2")...)...)
	large := encode(t, "hvc1", videoArgs(append(x265, "-t", "6", "-vf", "scale=640:360")...)...)
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
		for deadline := time.Now().Add(waitLimit); width() != want; sleep(t, 50*time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("API: got width %d, want %d", width(), want)
			}
		}
	}
	for deadline := time.Now().Add(waitLimit); !strings.Contains(fetch(t, r.url("http", "/"+stream+"/index.m3u8")), "RESOLUTION=640x360"); sleep(t, 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("HLS: got\n%s", fetch(t, r.url("http", "/"+stream+"/index.m3u8")))
		}
	}
	c, err := dialPlayer(t, r, stream, allCodecs)
	if err != nil {
		t.Fatal(err)
	}
	if err := compareFrames(readBodies(c.read), map[bool]codedTrack{true: both}, 5); err != nil {
		t.Error(err)
	}
}

// frameHashes returns the hashes of the frames that ffmpeg decodes.
func frameHashes(t *testing.T, args ...string) (all []string) {
	t.Helper()
	out := runProgram(t, "ffmpeg", slices.Concat([]string{"-nostdin", "-v", "error"}, args, []string{"-map", "0:v", "-f", "framemd5", "-"})...)
	for l := range strings.Lines(out) {
		if at := strings.LastIndex(l, ","); at > 0 && !strings.HasPrefix(l, "#") {
			all = append(all, strings.TrimSpace(l[at+1:]))
		}
	}
	return all
}

// TestIntraRefresh pushes a stream with intra refresh whose only IDR frame is no longer in the buffer.
// Programs join at a recovery point and show only frames that the encoder made. Other players get an
// error.
func TestIntraRefresh(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg")
	r := startRelay(t, "--defaults.buffer.duration", "3s")
	file := filepath.Join(t.TempDir(), "refresh.flv")
	runProgram(t, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=rate=25:size=320x240:duration=30",
		"-c:v", "libx264", "-preset", "veryfast", "-x264-params", "intra-refresh=1:keyint=25:bframes=0", file)
	made := frameHashes(t, "-i", file)
	const stream = "live/refresh"
	startFFmpeg(t, "-re", "-i", file, "-c", "copy", "-f", "flv", r.url("rtmp", "/"+stream))
	r.waitLive(stream)
	for deadline := time.Now().Add(waitLimit); ; sleep(t, 100*time.Millisecond) {
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
			t.Fatalf("HLS: got %s %s %v", res.Status, body, err)
		}
	}
	r.waitLog(0, "refused viewers", func(l logLine) bool { return l.is("viewers refused: no keyframe") })
	for _, url := range []string{r.url("rtmp", "/"+stream), r.url("http", "/"+stream+".flv")} {
		shown := frameHashes(t, "-i", url, "-t", "3")
		for i, frame := range shown {
			if !slices.Contains(made, frame) {
				t.Errorf("%s: got frame %d of %d, which was not sent", url, i, len(shown))
				break
			}
		}
		if len(shown) < 40 {
			t.Errorf("%s: got %d frames in 3 s", url, len(shown))
		}
	}
}
