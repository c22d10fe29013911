//go:build unix

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// shownFrame is a frame that a page showed: a hash of its pixels, when it was shown, and its media time.
type shownFrame struct {
	Sum  string
	At   float64 // in milliseconds
	Time float64 // in seconds
}

// presentedScript records each frame that the page's player shows.
const presentedScript = `(() => {
	const video = document.getElementById('video')
	const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 })
	const on = canvas.getContext('2d', { willReadFrequently: true })
	window.presented = []
	const note = (at, frame) => {
		on.drawImage(video, 0, 0, canvas.width, canvas.height)
		let a = 1, b = 0
		for (const v of new Uint32Array(on.getImageData(0, 0, canvas.width, canvas.height).data.buffer)) {
			a = (a + v) % 4294967291; b = (b + a) % 4294967291
		}
		window.presented.push({ sum: a + '.' + b, at, time: frame.mediaTime })
		video.requestVideoFrameCallback(note)
	}
	video.requestVideoFrameCallback(note)
})()`

// TestPageFreezesOnLastFrame checks that while the publisher is away the page shows the last frame,
// without a stall and without going back, and continues when the publisher returns.
func TestPageFreezesOnLastFrame(t *testing.T) {
	for _, tt := range []struct {
		name, by string
		push     func(testing.TB, string) *program
	}{
		{"mse", "mse", pushReordered}, {"whep", "whep", plainly}, {"whep without B-frames", "whep", pushReordered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requirePrograms(t, "chromium", "ffmpeg")
			awaitBrowser(t)
			r := startRelay(t)
			const stream = "live/cam"
			one := tt.push(t, r.url("rtmp", "/"+stream))
			r.waitLive(stream)
			p := startBrowser(t).openPage(r.url("http", "/"+stream+"/?by="+tt.by))
			p.waitFor(waitContext(t), "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > 40")
			p.eval(nil, presentedScript)
			p.waitFor(waitContext(t), "window.presented.length > 30")
			one.kill()
			r.waitBreak(0)
			sleep(t, 5*time.Second)
			var held []shownFrame
			p.eval(&held, "window.presented")
			checkFrozen(t, held)
			tt.push(t, r.url("rtmp", "/"+stream))
			r.waitResume(0)
			p.waitFor(waitContext(t), fmt.Sprintf("new Set(window.presented.slice(%d).map((f) => f.sum)).size > 20", len(held)))
		})
	}
}

func plainly(t testing.TB, url string) *program {
	t.Helper()
	return startEncoder(t, url, encoderSource{size: "640x360", tone: true})
}

// pushReordered pushes as OBS does: two B-frames, one of them a reference, and a keyframe every two
// seconds.
func pushReordered(t testing.TB, url string) *program {
	t.Helper()
	return startFFmpeg(t, "-re", "-f", "lavfi", "-i", "testsrc2=rate=25:size=640x360", "-re", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", "-bf", "2", "-g", "50", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-ac", "2", "-b:a", "96k", "-f", "flv", url)
}

// TestRecordingOverAFreeze checks that a recording over a hold decodes without a warning, wherever in a
// GOP the push broke.
func TestRecordingOverAFreeze(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ffmpeg", "ffprobe")
	r := startRelay(t)
	const stream, length = "live/cam", 14 * time.Second
	push := pushReordered(t, r.url("rtmp", "/"+stream))
	r.waitLive(stream)
	recordings := r.recordBoth(stream, length)
	sleep(t, 2300*time.Millisecond)
	for n := range 2 {
		push.kill()
		r.waitBreak(n)
		sleep(t, 2*time.Second)
		push = pushReordered(t, r.url("rtmp", "/"+stream))
		r.waitResume(n)
		sleep(t, 1700*time.Millisecond)
	}
	for _, rec := range recordings {
		if got := rec.check(length); got < length-2*time.Second {
			t.Errorf("got a recording of %v, want %v", got, length)
		}
	}
}

// TestBrowserStreamFreezes checks that a browser's stream is frozen with filler frames too, and that they
// decode.
func TestBrowserStreamFreezes(t *testing.T) {
	requirePrograms(t, "chromium", "ffmpeg", "ffprobe")
	awaitBrowser(t)
	r := startRelay(t)
	const stream, length = "live/cam", 8 * time.Second
	b := startBrowser(t)
	p := b.openPage(r.url("http", "/"+stream+"/?publish"))
	p.waitFor(waitContext(t), "document.getElementById('word').textContent === 'ready to publish'")
	p.eval(nil, "document.getElementById('publish').click()")
	r.waitLive(stream)
	rec := record(t, r.url("http", "/"+stream+".flv"), length)
	sleep(t, 3*time.Second)
	b.kill()
	r.waitBreak(0)
	rec.check(length)
	if n := r.metric(`holdfast_filler_frames_total{kind="picture"}`); n < 10 {
		t.Errorf("got %v filler frames", n)
	}
}

// checkFrozen checks that the frames end with one that is frozen for seconds: the one that was shown when
// the others ended, repeated again and again.
func checkFrozen(t *testing.T, frames []shownFrame) {
	t.Helper()
	n := len(frames)
	last := frames[n-1]
	first := n
	for first > 0 && frames[first-1].Sum == last.Sum {
		first--
	}
	for i, p := range frames[:first] {
		if p.Sum == last.Sum {
			t.Errorf("frame %d of %d was shown again at the end: the player went back", i, n)
		}
	}
	if n-first < 12 {
		t.Errorf("the frozen frame was shown %d times", n-first)
	}
	for i := 1; i < n; i++ {
		if frames[i].Time < frames[i-1].Time {
			t.Errorf("the media time went from %v back to %v", frames[i-1].Time, frames[i].Time)
		}
		if gap := frames[i].At - frames[i-1].At; i > first+3 && gap > 1000 {
			t.Errorf("got no frame for %.0f ms while held", gap)
		}
	}
	if stood := last.At - frames[first].At; stood < 2000 {
		t.Errorf("the frame was frozen for %.0f ms", stood)
	}
}
