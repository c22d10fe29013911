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

// lagLimit is how far the far side of a push may ever be behind.
const lagLimit = 3 * time.Second

// A line carries six tenths of a stream for a while, and then a third more than all of it.
func TestBottleneck(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	const stream = "live/cam"
	made := encoded(t)
	line := newLine(t)
	far := line.nginx()
	r := routing(t, group{list: "push", urls: pushTo(far.addr)})
	push := made.push(t, r, stream)
	r.carries(stream, "a")
	w := &lagWatch{r: r, series: `{group="cdn",route="a",stream="` + stream + `"}`}
	w.during(3*time.Second, "the whole line", nil)
	if n := r.metric("holdfast_route_level" + w.series); n != 0 {
		t.Errorf("level %v before anything is wrong", n)
	}

	line.rate(0.6 * made.rate)
	short := time.Now()
	lowered := untilWithin(t, slack(10*time.Second), "a lower rung", func() bool { return w.look() > 0 })
	s := r.route(stream)
	t.Logf("%s after %v: %s; %s", s.Ladder.Rung, lowered, s.Ladder.Cause, s.Ladder.Reason)
	if s.Ladder.Level == 0 || s.Ladder.Rung == "" || s.Ladder.Cause != "lag" || !strings.Contains(s.Ladder.Reason, "behind") {
		t.Errorf("%+v", s.Ladder)
	}
	w.during(time.Until(short.Add(20*time.Second)), "a short line", nil)

	line.rate(1.3 * made.rate)
	took := untilWithin(t, slack(30*time.Second), "the whole stream again", func() bool { return w.look() == 0 })
	t.Logf("back at the top after %v", took)
	w.during(20*time.Second, "enough of a line", func(level int) bool { return level == 0 })
	t.Logf("at most %v behind", w.most)
	if w.most > lagLimit {
		t.Errorf("%v behind", w.most)
	}

	far.kill() // before anything is filled in for the end of the push
	push.end()
	files := far.recordings()
	if len(files) != 1 {
		t.Fatalf("%d recordings: the push was redialled", len(files))
	}
	made.sound(t, files[0])
	decodes(t, files[0])
}

// decodes asserts that nothing is wrong with a recording.
func decodes(t *testing.T, file string) {
	t.Helper()
	decoded := launch(t, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-i", file, "-f", "null", "-")
	if err := decoded.wait(2 * patience); err != nil || decoded.output() != "" {
		t.Errorf("the recording does not decode: %v\n%s", err, decoded.output())
	}
}

// lagWatch looks at a push over time.
type lagWatch struct {
	r      *relay
	series string
	most   time.Duration
}

// look returns the level.
func (w *lagWatch) look() int {
	w.r.t.Helper()
	w.most = max(w.most, time.Duration(w.r.metric("holdfast_route_lag_seconds"+w.series)*float64(time.Second)))
	return int(w.r.metric("holdfast_route_level" + w.series))
}

// during looks for a time, in which the level is to be right.
func (w *lagWatch) during(d time.Duration, what string, right func(level int) bool) {
	w.r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); wait(w.r.t, 100*time.Millisecond) {
		if level := w.look(); right != nil && !right(level) {
			w.r.t.Errorf("%s: level %d, %+v", what, level, w.r.route("live/cam").Ladder)
			return
		}
	}
}

// clip is what x264 makes: a constant bitrate, B-frames, a keyframe every two seconds. It
// fills clipLength exactly, so that it can be pushed round and round.
type clip struct {
	config, frames []flv.RawTag
	rate           float64 // bit/s
}

const (
	clipLength   = 8 * time.Second
	clipPictures = 200
	clipSounds   = 375
)

// encoded makes a clip whose audio frames are all different.
func encoded(t *testing.T) *clip {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.flv")
	made := ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=rate=25:size=640x360:duration=8.5,noise=alls=16:allf=t",
		"-f", "lavfi", "-i", "anoisesrc=amplitude=0.1:sample_rate=48000:duration=8.5:seed=1",
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-b:v", "2400k", "-maxrate", "2400k", "-bufsize", "2400k",
		"-x264-params", "keyint=50:scenecut=0:nal-hrd=cbr", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", "-ac", "2", file)
	if err := made.wait(patience); err != nil {
		t.Fatalf("%v\n%s", err, made.output())
	}
	c, pictures, sounds, bytes := &clip{}, 0, 0, 0
	for _, tag := range tags(t, file) {
		switch {
		case tag.Type == typeData:
			continue
		case tag.Body[1] == 0:
			c.config = append(c.config, tag)
			continue
		case tag.Type == typeVideo && pictures < clipPictures:
			pictures++
		case tag.Type == typeAudio && sounds < clipSounds:
			sounds++
		default:
			continue
		}
		c.frames = append(c.frames, tag)
		bytes += len(tag.Body)
	}
	if err := os.Remove(file); err != nil || pictures != clipPictures || sounds != clipSounds || len(c.config) != 2 {
		t.Fatalf("%d pictures, %d audio frames, %d configurations: %v", pictures, sounds, len(c.config), err)
	}
	c.rate = float64(bytes) * 8 / clipLength.Seconds()
	return c
}

// clipPush pushes a clip, each frame at its time.
type clipPush struct {
	client           *client
	quit             chan struct{}
	sending, reading sync.WaitGroup
	once             sync.Once
}

func (c *clip) push(t testing.TB, r *relay, stream string) *clipPush {
	t.Helper()
	client, err := openOn(t, r.addrs["rtmp"], "publish", stream, nil)
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
	t.Cleanup(p.end)
	return p
}

func (p *clipPush) run(c *clip) error {
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
		ChunkStreamID: map[byte]byte{typeVideo: 6, typeAudio: 4}[tag.Type], Type: tag.Type, MessageStreamID: first,
		Timestamp: at, Body: tag.Body,
	})
}

// end unpublishes.
func (p *clipPush) end() {
	p.once.Do(func() {
		close(p.quit)
		p.sending.Wait()
		_ = p.client.conn.Close()
		p.reading.Wait()
	})
}

// sound asserts that a recording has every audio frame between its first and its last, each at
// its time.
func (c *clip) sound(t *testing.T, file string) {
	t.Helper()
	place, n := map[[sha256.Size]byte]int{}, 0
	for _, tag := range c.frames {
		if tag.Type == typeAudio {
			place[sha256.Sum256(tag.Body)] = n
			n++
		}
	}
	if len(place) != clipSounds {
		t.Fatalf("only %d of the audio frames are different", len(place))
	}
	const frame, rounding = 1024 * time.Second / 48000, 2 * time.Millisecond
	sounds, pictures, last, at := 0, 0, -1, time.Duration(0)
	for _, tag := range tags(t, file) {
		if tag.Type == typeVideo {
			pictures++
		}
		if tag.Type != typeAudio || len(tag.Body) < 2 || tag.Body[1] == 0 {
			continue
		}
		i, ok := place[sha256.Sum256(tag.Body)]
		dts := time.Duration(tag.Timestamp) * time.Millisecond
		if !ok || last >= 0 && i != (last+1)%clipSounds {
			t.Fatalf("audio frame %d after %d at %v", i, last, dts)
		}
		if gap := dts - at; last >= 0 && (gap-frame).Abs() > rounding {
			t.Errorf("an audio frame at %v, the next at %v", at, dts)
		}
		last, at, sounds = i, dts, sounds+1
	}
	t.Logf("the recording has %d audio frames and %d pictures in %v", sounds, pictures, at)
	if sounds == 0 || pictures == 0 {
		t.Error("there is nothing in the recording")
	}
}
