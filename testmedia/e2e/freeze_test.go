//go:build unix

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// presented is a picture that a page showed: a sum of its pixels, when it was shown, and where it
// stands on the player's clock.
type presented struct {
	Sum  string
	At   float64 // milliseconds
	Time float64 // seconds
}

// presentedScript notes each picture that the page's player shows.
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

// While the publisher is away the page goes on showing the very picture that came last, without
// a stall and without going back, and goes on when it is back.
func TestPageFreezesOnTheLastPicture(t *testing.T) {
	for _, tt := range []struct {
		name, by string
		push     func(testing.TB, string) *program
	}{
		{"mse", "mse", reordering}, {"whep", "whep", plainly}, {"whep without B pictures", "whep", reordering},
	} {
		t.Run(tt.name, func(t *testing.T) {
			need(t, "chromium", "ffmpeg")
			awaitBrowser(t)
			r := start(t)
			const stream = "live/cam"
			one := tt.push(t, r.url("rtmp", "/"+stream))
			r.live(stream)
			p := browse(t).page(r.url("http", "/"+stream+"/?by="+tt.by))
			p.waitFor(within(t), "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > 40")
			p.eval(nil, presentedScript)
			p.waitFor(within(t), "window.presented.length > 30")
			one.kill()
			r.broke(0)
			wait(t, 5*time.Second)
			var held []presented
			p.eval(&held, "window.presented")
			frozenOn(t, held)
			tt.push(t, r.url("rtmp", "/"+stream))
			r.resumed(0)
			p.waitFor(within(t), fmt.Sprintf("new Set(window.presented.slice(%d).map((f) => f.sum)).size > 20", len(held)))
		})
	}
}

func plainly(t testing.TB, url string) *program {
	t.Helper()
	return pushing(t, url, source{picture: "640x360", tone: true})
}

// reordering pushes as OBS does: two B pictures, one of them a reference, and a keyframe every two
// seconds.
func reordering(t testing.TB, url string) *program {
	t.Helper()
	return ffmpeg(t, "-re", "-f", "lavfi", "-i", "testsrc2=rate=25:size=640x360", "-re", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "1500k", "-maxrate", "1500k", "-bufsize", "1500k", "-bf", "2", "-g", "50", "-pix_fmt", "yuv420p",
		"-c:a", "aac", "-ac", "2", "-b:a", "96k", "-f", "flv", url)
}

// What a viewer has recorded over a hold decodes without a word, cut anywhere in a GOP.
func TestRecordingOverAFreeze(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	r := start(t)
	const stream, length = "live/cam", 14 * time.Second
	push := reordering(t, r.url("rtmp", "/"+stream))
	r.live(stream)
	recordings := r.records(stream, length)
	wait(t, 2300*time.Millisecond)
	for n := range 2 {
		push.kill()
		r.broke(n)
		wait(t, 2*time.Second)
		push = reordering(t, r.url("rtmp", "/"+stream))
		r.resumed(n)
		wait(t, 1700*time.Millisecond)
	}
	for _, rec := range recordings {
		if got := rec.good(length); got < length-2*time.Second {
			t.Errorf("%v of %v", got, length)
		}
	}
}

// A browser's stream is frozen by made pictures as well, which decode.
func TestFreezeOfABrowsersStream(t *testing.T) {
	need(t, "chromium", "ffmpeg", "ffprobe")
	awaitBrowser(t)
	r := start(t)
	const stream, length = "live/cam", 8 * time.Second
	b := browse(t)
	p := b.page(r.url("http", "/"+stream+"/?publish"))
	p.waitFor(within(t), "document.getElementById('word').textContent === 'ready to publish'")
	p.eval(nil, "document.getElementById('publish').click()")
	r.live(stream)
	rec := record(t, r.url("http", "/"+stream+".flv"), length)
	wait(t, 3*time.Second)
	b.kill()
	r.broke(0)
	rec.good(length)
	if n := r.metric(`holdfast_filler_frames_total{kind="picture"}`); n < 10 {
		t.Errorf("%v pictures were made", n)
	}
}

// frozenOn asserts that the pictures end with one that stands for seconds, that it is the one
// which was shown when the others ended, and that it comes again and again.
func frozenOn(t *testing.T, pictures []presented) {
	t.Helper()
	n := len(pictures)
	last := pictures[n-1]
	first := n
	for first > 0 && pictures[first-1].Sum == last.Sum {
		first--
	}
	for i, p := range pictures[:first] {
		if p.Sum == last.Sum {
			t.Errorf("picture %d of %d came again at the end: the player went back", i, n)
		}
	}
	if n-first < 12 {
		t.Errorf("the picture at the end was shown %d times", n-first)
	}
	for i := 1; i < n; i++ {
		if pictures[i].Time < pictures[i-1].Time {
			t.Errorf("the clock goes from %v back to %v", pictures[i-1].Time, pictures[i].Time)
		}
		if gap := pictures[i].At - pictures[i-1].At; i > first+3 && gap > 1000 {
			t.Errorf("no picture for %.0f ms while held", gap)
		}
	}
	if stood := last.At - pictures[first].At; stood < 2000 {
		t.Errorf("the picture stood for %.0f ms", stood)
	}
}
