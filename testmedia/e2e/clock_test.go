//go:build unix

package e2e

import (
	"bufio"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// frameClock is an encoder whose frames carry a number, as 16 black or white blocks at the top, so that
// their age is known.
type frameClock struct {
	mu   sync.Mutex
	made map[int]time.Time
}

const (
	clockWidth, clockHeight, clockRate = 640, 360, 30
	clockBits                          = 16
)

// pushClock pushes such frames and a 440 Hz tone as AAC, like an encoder with low-latency settings:
// without B-frames, with a keyframe every two seconds.
func pushClock(t testing.TB, url string) *frameClock {
	t.Helper()
	c := &frameClock{made: map[int]time.Time{}}
	out, in := io.Pipe()
	cmd := exec.Command("ffmpeg", "-hide_banner", "-v", "error",
		"-f", "rawvideo", "-pix_fmt", "gray", "-video_size", "640x360", "-framerate", "30", "-probesize", "32", "-analyzeduration", "0",
		"-fflags", "nobuffer", "-i", "pipe:0", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "60", "-b:v", "1500k",
		"-c:a", "aac", "-ac", "2", "-b:a", "96k", "-max_interleave_delta", "0", "-flush_packets", "1", "-f", "flv", url)
	cmd.Stdin = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var making sync.WaitGroup
	stop := make(chan struct{})
	making.Go(func() { c.generate(in, stop) })
	t.Cleanup(func() {
		close(stop)
		_ = cmd.Process.Kill()
		_ = out.CloseWithError(io.ErrClosedPipe)
		making.Wait()
		_ = cmd.Wait()
	})
	return c
}

// generate generates frames in real time.
func (c *frameClock) generate(to io.Writer, stop <-chan struct{}) {
	w := bufio.NewWriterSize(to, clockWidth*clockHeight)
	tick := time.NewTicker(time.Second / clockRate)
	defer tick.Stop()
	frame := make([]byte, clockWidth*clockHeight)
	for n := 0; ; n = (n + 1) % (1 << clockBits) {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for y := range clockHeight {
			for x := range clockWidth {
				v := byte(64 + (x+y+3*n)%128)
				if y < 40 {
					v = 16
					if n>>(x*clockBits/clockWidth)&1 == 1 {
						v = 235
					}
				}
				frame[y*clockWidth+x] = v
			}
		}
		c.mu.Lock()
		c.made[n] = time.Now()
		c.mu.Unlock()
		if _, err := w.Write(frame); err != nil {
			return
		}
		if w.Flush() != nil {
			return
		}
	}
}

// latencies returns the ages of n frames when a viewer shows them.
func (c *frameClock) latencies(v *whep, n int) []time.Duration {
	v.page.t.Helper()
	var seen [][2]float64 // number, and ms since 1970
	v.eval(&seen, `new Promise((done) => {
		const seen = [], c = new OffscreenCanvas(`+literal(clockWidth)+`, 40).getContext('2d', { willReadFrequently: true })
		const look = (at, meta) => {
			c.drawImage(s.video, 0, 0)
			const px = c.getImageData(0, 20, `+literal(clockWidth)+`, 1).data
			let n = 0
			for (let i = 0; i < `+literal(clockBits)+`; i++) if (px[4 * Math.floor((i + 0.5) * `+literal(clockWidth/clockBits)+`)] > 128) n |= 1 << i
			seen.push([n, performance.timeOrigin + meta.expectedDisplayTime])
			if (seen.length < `+literal(n)+`) s.video.requestVideoFrameCallback(look); else done(seen)
		}
		s.video.requestVideoFrameCallback(look)
	})`)
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []time.Duration
	for _, one := range seen {
		made, ok := c.made[int(one[0])]
		if !ok {
			v.page.t.Errorf("got frame %v, which was never sent", one[0])
			continue
		}
		out = append(out, time.UnixMicro(int64(1000*one[1])).Sub(made))
	}
	return out
}
