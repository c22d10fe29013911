//go:build unix

package e2e

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// videoArgs and toneArgs return ffmpeg arguments for six seconds of video and audio.
func videoArgs(args ...string) []string {
	return append([]string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6", "-pix_fmt", "yuv420p", "-g", "25"}, args...)
}

func toneArgs(args ...string) []string {
	return append([]string{"-f", "lavfi", "-i", "sine=440:sample_rate=48000:duration=6", "-ac", "2"}, args...)
}

// allCodecs announces support for all codecs.
var allCodecs = amf0.ObjectEntry{Key: "fourCcList", Value: amf0.StrictArray{"*"}}

// pushCoded publishes tracks until they end or the test ends.
func pushCoded(t testing.TB, r *relay, stream string, tracks ...codedTrack) *client {
	t.Helper()
	c, err := openClient(t, r.addrs["rtmp"], "publish", stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() { _ = sendCoded(c, stop, tracks...) })
	running.Go(func() {
		for err := error(nil); err == nil; {
			_, err = c.read()
		}
	})
	t.Cleanup(func() {
		close(stop)
		_ = c.conn.Close()
		running.Wait()
	})
	return c
}

// TestEnhancedCodecs checks that every codec of Enhanced RTMP is forwarded unchanged from real encoders.
func TestEnhancedCodecs(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	video := map[string][]string{
		"hvc1": {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2:b-adapt=0", "-tag:v", "hvc1"},
		"av01": {"-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-b:v", "300k"},
		"vp09": {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"},
		"vp08": {"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"},
	}
	audio := map[string][]string{
		"Opus": {"-c:a", "libopus"}, "fLaC": {"-c:a", "flac", "-strict", "-2"},
		"ac-3": {"-c:a", "ac3"}, "ec-3": {"-c:a", "eac3"},
	}
	r := startRelay(t, "--defaults.play_wait", "10s")
	for _, tt := range []struct{ video, audio string }{{"hvc1", "Opus"}, {"av01", "ac-3"}, {"vp09", "Opus"}, {"vp08", "fLaC"}, {"hvc1", "ec-3"}} {
		t.Run(tt.video+" "+tt.audio, func(t *testing.T) {
			t.Parallel()
			v, a := encode(t, tt.video, videoArgs(video[tt.video]...)...), encode(t, tt.audio, toneArgs(audio[tt.audio]...)...)
			stream := "live/" + tt.video + strings.ReplaceAll(tt.audio, "-", "")
			pushCoded(t, r, stream, v, a)
			var watchers sync.WaitGroup
			for name, watch := range readersOf(t, r, stream) {
				tracks := map[bool]codedTrack{true: v, false: a}
				if name == "HLS" {
					if tt.video == "vp08" {
						continue
					}
					if tt.audio == "ec-3" {
						delete(tracks, false)
					}
				}
				watchers.Go(func() {
					if err := compareFrames(watch, tracks, 60); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			watchers.Wait()
		})
	}
}

// TestEnhancedTracks checks video with modifiers and in multitrack bodies. An additional track becomes
// another stream with the same audio.
func TestEnhancedTracks(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t, "--defaults.play_wait", "10s")
	large := encode(t, "hvc1", videoArgs("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1")...)
	small := encode(t, "hvc1", videoArgs("-vf", "scale=160:90", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1")...)
	audio := encode(t, "Opus", toneArgs("-c:a", "libopus")...)
	large.wrap, small.wrap = withModifier, inMultitrack(1)
	push := pushCoded(t, r, "live/cam", large, small, audio)
	var watchers sync.WaitGroup
	for stream, frame := range map[string]codedTrack{"live/cam": large, "live/cam~1": small} {
		for name, watch := range readersOf(t, r, stream) {
			watchers.Go(func() {
				if err := compareFrames(watch, map[bool]codedTrack{true: frame, false: audio}, 50); err != nil {
					t.Errorf("%s of %s: %v", name, stream, err)
				}
			})
		}
	}
	watchers.Wait()
	if err := push.command(0, "deleteStream", 5, nil, float64(1)); err != nil {
		t.Fatal(err)
	}
	r.waitLog(0, "the track's push ends", func(l logLine) bool {
		return l.is("push ended") && l.str("stream") == "live/cam~1" && l.str("cause") == "unpublish"
	})
}

// TestEnhancedRefusals checks that viewers that do not support a codec get an error of their protocol,
// also after a codec change.
func TestEnhancedRefusals(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t, "--defaults.play_wait", "10s")
	hevc := encode(t, "hvc1", videoArgs("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=0", "-tag:v", "hvc1")...)
	vp8 := encode(t, "vp08", videoArgs("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")...)
	push := pushCoded(t, r, "live/cam", hevc)
	output := func(c *client) string {
		for {
			m, err := c.read()
			if err != nil {
				return err.Error()
			}
			if m.Type != typeCommand {
				continue
			}
			var status *statusError
			answer, err := amf0.Unmarshal(m.Body)
			if err == nil && errors.As(answerError(answer), &status) {
				return status.Error()
			}
			if bytes.Contains(m.Body, []byte("NetStream.Play.UnpublishNotify")) {
				return string(m.Body)
			}
		}
	}
	for name, list := range map[string]amf0.StrictArray{"AVC alone": {"avc1"}, "AV1": {"av01", "Opus"}} {
		c, err := dialPlayer(t, r, "live/cam", amf0.ObjectEntry{Key: "fourCcList", Value: list})
		if err != nil {
			t.Fatal(err)
		}
		if reason := output(c); !strings.Contains(reason, "NetStream.Play.Failed") || !strings.Contains(reason, "HEVC") {
			t.Errorf("%s: got %s", name, reason)
		}
	}
	player, err := dialPlayer(t, r, "live/cam", allCodecs)
	if err != nil {
		t.Fatal(err)
	}
	if err := compareFrames(readBodies(player.read), map[bool]codedTrack{true: hevc}, 5); err != nil {
		t.Fatal(err)
	}
	if err := push.command(0, "deleteStream", 5, nil, float64(1)); err != nil {
		t.Fatal(err)
	}
	pushCoded(t, r, "live/cam", vp8)
	if reason := output(player); !strings.Contains(reason, "HEVC") || !strings.Contains(reason, "VP8") {
		t.Errorf("codec change: got %q", reason)
	}
	if status, _, body := request(t, http.MethodGet, r.url("http", "/live/cam/video.m3u8"), ""); status != http.StatusNotAcceptable && status != http.StatusNotFound {
		t.Errorf("HLS: got %d %s", status, body)
	}
	if status, _, body := request(t, http.MethodGet, r.url("http", "/live/cam/index.m3u8"), ""); status != http.StatusNotAcceptable || !strings.Contains(body, "VP8") {
		t.Errorf("HLS: got %d %s", status, body)
	}
}

// hostileBodies returns malformed bodies of Enhanced RTMP. None is media, and none may end the push.
func hostileBodies() map[string][]byte {
	loop := []byte{0x97}
	for range 10_000 {
		loop = append(loop, 0, 0, 7)
	}
	return map[string][]byte{
		"cut short":             {0x91, 'h', 'v'},
		"no FourCC":             {0x91},
		"no composition time":   {0x91, 'h', 'v', 'c', '1', 0},
		"modifiers without end": loop,
		"an absurd modifier":    {0x97, 255, 255, 255, 1, 2, 3},
		"an absurd track":       {0x96, 0x11, 'h', 'v', 'c', '1', 0, 0xff, 0xff, 0xff, 1},
		"multitrack within":     {0x96, 0x06, 'h', 'v', 'c', '1', 0, 1},
		"a packet type beyond":  {0x9d, 'h', 'v', 'c', '1', 0, 1},
		"no configuration":      {0x90, 'h', 'v', 'c', '1', 1, 2},
	}
}

// TestEnhancedHostile checks that malformed bodies are counted and dropped and that an unknown codec is
// refused. Other streams are not affected.
func TestEnhancedHostile(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t, "--defaults.play_wait", "10s")
	other := publish(t, r, "live/other", gen.Options{Source: 1})
	bystander := watchFLV(t, r, "live/other")
	hevc := encode(t, "hvc1", videoArgs("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1")...)
	c := pushCoded(t, r, "live/cam", hevc)
	player, err := dialPlayer(t, r, "live/cam", allCodecs)
	if err != nil {
		t.Fatal(err)
	}
	watch := readBodies(player.read)
	if err := compareFrames(watch, map[bool]codedTrack{true: hevc}, 10); err != nil {
		t.Fatal(err)
	}
	for name, body := range hostileBodies() {
		if err := c.write(hevc.message(time.Second, body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := compareFrames(watch, map[bool]codedTrack{true: hevc}, 50); err != nil {
		t.Errorf("after malformed bodies: %v", err)
	}
	if err := c.command(0, "deleteStream", 5, nil, float64(1)); err != nil {
		t.Fatal(err)
	}
	r.waitLog(0, "dropped messages", func(l logLine) bool {
		return l.is("publisher's media repaired") && l.fields["reason"] == "unreadable"
	})
	if n := r.metric(`holdfast_media_repairs_total{reason="unreadable",track="video"}`); int(n) != len(hostileBodies()) {
		t.Errorf("got %v messages dropped, want %d", n, len(hostileBodies()))
	}
	for fourCC, body := range map[string][]byte{"vvc1": []byte("\x91vvc1\x01\x02"), "spex": []byte("\x91spex\x01")} {
		c, err := openClient(t, r.addrs["rtmp"], "publish", "live/"+fourCC, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.write((&codedTrack{video: fourCC == "vvc1"}).message(0, body)); err != nil {
			t.Fatal(err)
		}
		reason, err := "", error(nil)
		for err == nil {
			var m *rawmessage.Message
			if m, err = c.read(); err == nil && m.Type == typeCommand {
				reason = string(m.Body)
			}
		}
		if !strings.Contains(reason, "NetStream.Publish.BadName") || !strings.Contains(reason, fourCC) || !strings.Contains(reason, "HEVC") || !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %q, %v", fourCC, reason, err)
		}
	}
	if n := r.metric(`holdfast_publish_sessions_total{outcome="refused_codec",protocol="rtmp"}`); n != 2 {
		t.Errorf("got %v refused pushes", n)
	}
	other.pause()
	all := streamCheck{t: t, relay: r, pushes: []*publisher{other}, viewers: []*viewer{bystander}}
	all.waitSettled(other)
	all.checkComplete(nil)
}
