//go:build linux

package e2e

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/rawmessage"

	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// lagLimit is the maximum lag of the destination of a push.
const lagLimit = 3 * time.Second

// TestBottleneck limits a line to six tenths of the stream's rate for a while, and then to four thirds of
// it.
func TestBottleneck(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg")
	const stream = "live/cam"
	made := encodeClip(t)
	line := newLine(t)
	server := line.nginx()
	r := startWithRoutes(t, group{list: "push", urls: pushURLs(server.addr)})
	push := made.push(t, r, stream)
	r.waitCarries(stream, "a")
	w := &lagMonitor{r: r, series: `{group="cdn",route="a",stream="` + stream + `"}`}
	w.sampleFor(3*time.Second, "the whole line", nil)
	if n := r.metric("holdfast_route_level" + w.series); n != 0 {
		t.Errorf("got level %v before the bottleneck, want 0", n)
	}

	line.setRate(0.6 * made.rate)
	short := time.Now()
	lowered := waitUntilWithin(t, slack(10*time.Second), "a lower rung", func() bool { return w.sample() > 0 })
	s := r.routeStatus(stream)
	t.Logf("got %s after %v: %s; %s", s.Ladder.Rung, lowered, s.Ladder.Cause, s.Ladder.Reason)
	if s.Ladder.Level == 0 || s.Ladder.Rung == "" || s.Ladder.Cause != "lag" || !strings.Contains(s.Ladder.Reason, "behind") {
		t.Errorf("got ladder %+v", s.Ladder)
	}
	w.sampleFor(time.Until(short.Add(20*time.Second)), "a short line", nil)

	line.setRate(1.3 * made.rate)
	took := waitUntilWithin(t, slack(30*time.Second), "the whole stream again", func() bool { return w.sample() == 0 })
	t.Logf("full again after %v", took)
	w.sampleFor(20*time.Second, "enough of a line", func(level int) bool { return level == 0 })
	t.Logf("max lag %v", w.maxLag)
	if w.maxLag > lagLimit {
		t.Errorf("got a lag of %v", w.maxLag)
	}

	server.kill() // before the relay fills in the end of the push
	push.unpublish()
	files := server.recordings()
	if len(files) != 1 {
		t.Fatalf("got %d recordings, want 1 without a redial", len(files))
	}
	made.checkAudio(t, files[0])
	checkDecodes(t, files[0])
}

// checkDecodes checks that a recording decodes without an error.
func checkDecodes(t *testing.T, file string) {
	t.Helper()
	decoded := launch(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-i", file, "-f", "null", "-")
	if err := decoded.wait(2 * waitLimit); err != nil || decoded.output() != "" {
		t.Errorf("decode the recording: %v\n%s", err, decoded.output())
	}
}

// lagMonitor samples the lag and level of a push.
type lagMonitor struct {
	r      *relay
	series string
	maxLag time.Duration
}

// sample takes a sample and returns the level.
func (w *lagMonitor) sample() int {
	w.r.t.Helper()
	w.maxLag = max(w.maxLag, time.Duration(w.r.metric("holdfast_route_lag_seconds"+w.series)*float64(time.Second)))
	return int(w.r.metric("holdfast_route_level" + w.series))
}

// sampleFor takes samples for a time in which right must accept each level.
func (w *lagMonitor) sampleFor(d time.Duration, what string, right func(level int) bool) {
	w.r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); sleep(w.r.t, 100*time.Millisecond) {
		if level := w.sample(); right != nil && !right(level) {
			w.r.t.Errorf("%s: got level %d, %+v", what, level, w.r.routeStatus("live/cam").Ladder)
			return
		}
	}
}

// encodedClip is a clip from x264 with constant bitrate, B-frames and a keyframe every two seconds. It
// fills clipLength exactly, so that it can be looped.
type encodedClip struct {
	config, frames []flv.RawTag
	rate           float64 // in bit/s
}

const (
	clipLength   = 8 * time.Second
	clipPictures = 200
	clipSounds   = 375
)

// encodeClip encodes a clip in which all audio frames differ.
func encodeClip(t *testing.T) *encodedClip {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.flv")
	made := startFFmpeg(t, "-f", "lavfi", "-i", "testsrc2=rate=25:size=640x360:duration=8.5,noise=alls=16:allf=t",
		"-f", "lavfi", "-i", "anoisesrc=amplitude=0.1:sample_rate=48000:duration=8.5:seed=1",
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-b:v", "2400k", "-maxrate", "2400k", "-bufsize", "2400k",
		"-x264-params", "keyint=50:scenecut=0:nal-hrd=cbr", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", "-ac", "2", file)
	if err := made.wait(waitLimit); err != nil {
		t.Fatalf("%v\n%s", err, made.output())
	}
	c, videoFrames, audioFrames, bytes := &encodedClip{}, 0, 0, 0
	for _, tag := range readTags(t, file) {
		switch {
		case tag.Type == typeData:
			continue
		case tag.Body[1] == 0:
			c.config = append(c.config, tag)
			continue
		case tag.Type == typeVideo && videoFrames < clipPictures:
			videoFrames++
		case tag.Type == typeAudio && audioFrames < clipSounds:
			audioFrames++
		default:
			continue
		}
		c.frames = append(c.frames, tag)
		bytes += len(tag.Body)
	}
	if err := os.Remove(file); err != nil || videoFrames != clipPictures || audioFrames != clipSounds || len(c.config) != 2 {
		t.Fatalf("got %d video frames, %d audio frames, %d configurations: %v", videoFrames, audioFrames, len(c.config), err)
	}
	c.rate = float64(bytes) * 8 / clipLength.Seconds()
	return c
}

// clipPush pushes a clip in real time.
type clipPush struct {
	client           *client
	quit             chan struct{}
	sending, reading sync.WaitGroup
	once             sync.Once
}

func (c *encodedClip) push(t testing.TB, r *relay, stream string) *clipPush {
	t.Helper()
	client, err := openClient(t, r.addrs["rtmp"], "publish", stream, nil)
	if err != nil {
		t.Fatalf("publish: %v", err)
	}
	p := &clipPush{client: client, quit: make(chan struct{})}
	p.reading.Go(func() {
		for {
			if _, err := client.read(); err != nil {
				return
			}
		}
	})
	p.sending.Go(func() {
		if err := p.run(c); err != nil {
			t.Errorf("push: %v", err)
		}
	})
	t.Cleanup(p.unpublish)
	return p
}

func (p *clipPush) run(c *encodedClip) error {
	for _, tag := range c.config {
		if err := p.write(tag, 0); err != nil {
			return err
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	began := time.Now()
	for round := time.Duration(0); ; round += clipLength {
		for _, tag := range c.frames {
			at := round + time.Duration(tag.Timestamp)*time.Millisecond
			timer.Reset(time.Until(began.Add(at)))
			select {
			case <-p.quit:
				return p.client.command(0, "deleteStream", 5, nil, float64(1))
			case <-timer.C:
			}
			if err := p.write(tag, at); err != nil {
				return err
			}
		}
	}
}

func (p *clipPush) write(tag flv.RawTag, at time.Duration) error {
	return p.client.write(&rawmessage.Message{
		ChunkStreamID: map[byte]byte{typeVideo: 6, typeAudio: 4}[tag.Type], Type: tag.Type, MessageStreamID: streamID,
		Timestamp: at, Body: tag.Body,
	})
}

// unpublish ends the push with an unpublish.
func (p *clipPush) unpublish() {
	p.once.Do(func() {
		close(p.quit)
		p.sending.Wait()
		_ = p.client.conn.Close()
		p.reading.Wait()
	})
}

// checkAudio checks that a recording has every audio frame between the first and the last, each at its
// time.
func (c *encodedClip) checkAudio(t *testing.T, file string) {
	t.Helper()
	place, n := map[[sha256.Size]byte]int{}, 0
	for _, tag := range c.frames {
		if tag.Type == typeAudio {
			place[sha256.Sum256(tag.Body)] = n
			n++
		}
	}
	if len(place) != clipSounds {
		t.Fatalf("got only %d different audio frames", len(place))
	}
	const frame, rounding = 1024 * time.Second / 48000, 2 * time.Millisecond
	audioFrames, videoFrames, last, at := 0, 0, -1, time.Duration(0)
	for _, tag := range readTags(t, file) {
		if tag.Type == typeVideo {
			videoFrames++
		}
		if tag.Type != typeAudio || len(tag.Body) < 2 || tag.Body[1] == 0 {
			continue
		}
		i, ok := place[sha256.Sum256(tag.Body)]
		dts := time.Duration(tag.Timestamp) * time.Millisecond
		if !ok || last >= 0 && i != (last+1)%clipSounds {
			t.Fatalf("got audio frame %d after %d at %v", i, last, dts)
		}
		if gap := dts - at; last >= 0 && (gap-frame).Abs() > rounding {
			t.Errorf("got an audio frame at %v, the next at %v", at, dts)
		}
		last, at, audioFrames = i, dts, audioFrames+1
	}
	t.Logf("got %d audio frames and %d video frames in %v", audioFrames, videoFrames, at)
	if audioFrames == 0 || videoFrames == 0 {
		t.Error("got an empty recording")
	}
}
