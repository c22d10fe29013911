//go:build unix

package e2e

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// flashes makes a publisher show white and play a tone for a fifth of each second, and black and silence
// otherwise.
const flashes = `s.start = async () => {
	const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 }), g = canvas.getContext('2d')
	s.sound = new AudioContext({ sampleRate: 48000, latencyHint: 'interactive' })
	const tone = new OscillatorNode(s.sound, { frequency: 1000 }), gain = new GainNode(s.sound, { gain: 0 })
	const out = s.sound.createMediaStreamDestination()
	tone.connect(gain).connect(out)
	tone.start()
	s.stream = new MediaStream([...canvas.captureStream(30).getTracks(), ...out.stream.getTracks()])
	let n = 0
	const draw = () => {
		const on = performance.now() % 1000 < 200
		g.fillStyle = on ? '#fff' : '#000'
		g.fillRect(0, 0, 640, 360)
		g.fillStyle = '#777'
		g.fillRect((n++ * 7) % 640, 170, 20, 20)
		gain.gain.value = on ? 0.5 : 0
		requestAnimationFrame(draw)
	}
	draw()
	for (const track of s.stream.getTracks()) s.pc.addTransceiver(track, { direction: 'sendonly', streams: [s.stream] })
	await s.negotiate()
}`

// TestLipSync checks that a browser's audio and video stay in sync over every protocol. Sender reports
// define the offset, and the audio is transcoded.
func TestLipSync(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg", "ffprobe")
	awaitBrowser(t)
	r := startRelay(t, "--defaults.play_wait", "10s")
	const stream, length = "live/cam", 12 * time.Second
	b := startBrowser(t)
	w := whip{b.openClientPage().prepare("Publisher", whipOptions{URL: r.url("http", "/"+stream+"/whip")})}
	w.eval(nil, flashes)
	w.eval(nil, "s.start()")
	w.waitConnected()
	for _, rec := range r.recordBoth(stream, length) {
		rec.check(length)
		frames := riseTimes(t, "movie="+rec.file+",signalstats", "lavfi.signalstats.YAVG", 100)
		audioFrames := riseTimes(t, "amovie="+rec.file+",aresample=48000,asetnsamples=n=240,astats=metadata=1:reset=1", "lavfi.astats.Overall.RMS_level", -40)
		var off []float64
		for _, p := range frames {
			near := math.Inf(1)
			for _, s := range audioFrames {
				if math.Abs(s-p) < math.Abs(near) {
					near = s - p
				}
			}
			if p > 5 && math.Abs(near) < 0.5 { // the first seconds have no sender reports yet
				off = append(off, near)
			}
		}
		if len(off) < 4 {
			t.Fatalf("%s: got flashes at %v, tones at %v", rec.cmd.Args, frames, audioFrames)
		}
		slices.Sort(off)
		median := time.Duration(off[len(off)/2] * float64(time.Second))
		t.Logf("audio is a median of %v behind video, %.3f to %.3f s", median, off[0], off[len(off)-1])
		if median.Abs() > slack(80*time.Millisecond) {
			t.Errorf("audio is %v behind video", median)
		}
	}
}

// riseTimes returns when a value of ffmpeg's filters exceeds a limit, in seconds.
func riseTimes(t testing.TB, filter, key string, limit float64) (out []float64) {
	t.Helper()
	text := runProgram(t, "ffprobe", "-v", "error", "-f", "lavfi", "-i", filter, "-show_entries", "frame=pts_time:frame_tags="+key, "-of", "csv=p=0")
	above := true // the first value does not count
	for l := range strings.Lines(text) {
		at, value, ok := strings.Cut(strings.TrimSpace(l), ",")
		pts, err := strconv.ParseFloat(at, 64)
		if !ok || err != nil {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			v = math.Inf(-1) // "-inf"
		}
		if v > limit && !above {
			out = append(out, pts)
		}
		above = v > limit
	}
	return out
}
