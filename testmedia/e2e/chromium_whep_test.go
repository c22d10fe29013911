//go:build unix

package e2e

import "time"

// whepOptions are the options of a viewer.
type whepOptions struct {
	URL     string `json:"url"`
	Key     string `json:"key,omitempty"`
	NoVideo bool   `json:"noVideo,omitempty"`
	NoAudio bool   `json:"noAudio,omitempty"`
	Unmuted bool   `json:"unmuted,omitempty"`
	Gather  bool   `json:"gather,omitempty"` // wait for all candidates before the offer
	// Proxied sends media to ProxyPort on loopback only.
	Proxied   bool `json:"proxied,omitempty"`
	ProxyPort int  `json:"proxyPort,omitempty"`
}

// whepStats are the statistics of a viewer since its start. Times are in milliseconds.
type whepStats struct {
	State        string
	Answered     float64 // from the POST to the answer
	FirstFrame   float64 // from the POST to the first frame shown; 0: none yet
	Frames       int     // decoded
	KeyFrames    int
	Dropped      int // decoded but not shown, or discarded
	Freezes      int
	Frozen       float64
	Lost         int     // audio and video packets
	Received     int     // audio and video packets
	PLI, NACK    int     // sent
	JitterBuffer float64 // mean delay in the jitter buffer
	RTT          float64
	CurrentTime  float64 // of the video element
	Width        int
	Height       int
	Codec        string
	AudioEnergy  float64 // increases while audio is heard, if Unmuted
	Concealed    float64 // share of audio that was concealed, 0 to 1
}

func (v *whep) stats() (s whepStats) {
	v.page.t.Helper()
	v.eval(&s, "await s.stats()")
	return s
}

// waitDecoded waits until more frames than now have been decoded.
func (v *whep) waitDecoded(more int) {
	v.page.t.Helper()
	v.eval(nil, "s.goal = (await s.stats()).frames + "+literal(more))
	v.waitFor("(await s.stats()).frames >= s.goal")
}

// loudestTone returns the loudest frequency of the audio in Hz, and its level in dB of full scale.
func (v *whep) loudestTone() (hz, level float64) {
	v.page.t.Helper()
	var h struct{ Hz, Level float64 }
	v.eval(&h, "s.hear()")
	return h.Hz, h.Level
}

// imageStats describes a frame without knowing its content.
type imageStats struct {
	Red, Green, Blue float64 // means, 0 to 255
	Spread           float64 // standard deviation of the brightness; 0 for a uniform frame
	// Tiles are the mean brightness of 8x8 parts, row by row.
	Tiles []float64
	Hash  string // hash of the pixels at 64x36
}

func (v *whep) sees() (p imageStats) {
	v.page.t.Helper()
	v.eval(&p, "s.see()")
	return p
}

// longestGap returns the longest time between two frames since its last call, including the time since the
// newest frame.
func (v *whep) longestGap() time.Duration {
	v.page.t.Helper()
	var ms float64
	v.eval(&ms, "s.takeGap()")
	return time.Duration(ms * float64(time.Millisecond))
}

const whepScript = `
class Viewer extends Session {
	async start() {
		const o = this.o
		this.video = document.createElement('video')
		this.video.muted = !o.unmuted
		this.video.autoplay = true
		this.video.playsInline = true
		document.body.append(this.video)
		this.stream = new MediaStream()
		this.video.srcObject = this.stream
		this.gap = 0
		this.watch()
		this.pc.ontrack = ({ track }) => {
			this.stream.addTrack(track)
			if (track.kind === 'audio') this.listen(track)
		}
		if (!o.noVideo) this.pc.addTransceiver('video', { direction: 'recvonly' })
		if (!o.noAudio) this.pc.addTransceiver('audio', { direction: 'recvonly' })
		await this.negotiate()
	}
	watch() {
		const shown = () => {
			const at = now()
			this.first ??= at
			if (this.latest) this.gap = Math.max(this.gap, at - this.latest)
			this.latest = at
			this.video.requestVideoFrameCallback(shown)
		}
		this.video.requestVideoFrameCallback(shown)
	}
	takeGap() {
		const gap = this.latest ? Math.max(this.gap, now() - this.latest) : now() - this.posted
		this.gap = 0
		return gap
	}
	listen(track) {
		this.sound = new AudioContext()
		this.ear = this.sound.createAnalyser()
		this.ear.fftSize = 8192
		this.ear.smoothingTimeConstant = 0
		this.sound.createMediaStreamSource(new MediaStream([track])).connect(this.ear)
	}
	hear() {
		if (!this.ear) return { hz: 0, level: -200 }
		const bins = new Float32Array(this.ear.frequencyBinCount)
		this.ear.getFloatFrequencyData(bins)
		let top = 1
		for (let i = 1; i < bins.length - 1; i++) if (bins[i] > bins[top]) top = i
		const [a, b, c] = [bins[top - 1], bins[top], bins[top + 1]]
		const between = Number.isFinite(a + b + c) && a - 2 * b + c !== 0 ? (a - c) / (2 * (a - 2 * b + c)) : 0
		return { hz: ((top + between) * this.sound.sampleRate) / this.ear.fftSize, level: Number.isFinite(b) ? b : -200 }
	}
	see() {
		const w = 64, h = 36, part = new Array(64).fill(0), mean = [0, 0, 0]
		this.canvas ??= new OffscreenCanvas(w, h).getContext('2d', { willReadFrequently: true })
		this.canvas.drawImage(this.video, 0, 0, w, h)
		const px = this.canvas.getImageData(0, 0, w, h).data
		const counts = new Array(64).fill(0)
		let hash = 0x811c9dc5, sum = 0, squares = 0
		for (let i = 0; i < px.length; i += 4) {
			const x = (i / 4) % w, y = Math.floor(i / 4 / w), tile = Math.floor((y * 8) / h) * 8 + Math.floor((x * 8) / w)
			for (let c = 0; c < 3; c++) {
				mean[c] += px[i + c] / (w * h)
				hash = Math.imul(hash ^ px[i + c], 0x01000193) >>> 0
			}
			const light = 0.299 * px[i] + 0.587 * px[i + 1] + 0.114 * px[i + 2]
			sum += light
			squares += light * light
			part[tile] += light
			counts[tile]++
		}
		const n = w * h
		return {
			red: mean[0], green: mean[1], blue: mean[2], spread: Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2)),
			tiles: part.map((v, i) => v / counts[i]), hash: hash.toString(16),
		}
	}
	async stats() {
		const { all, rtt } = await this.line()
		const into = all.filter((s) => s.type === 'inbound-rtp')
		const v = into.find((s) => s.kind === 'video') ?? {}, a = into.find((s) => s.kind === 'audio') ?? {}
		const both = (key) => (v[key] ?? 0) + (a[key] ?? 0)
		return {
			state: this.state, answered: this.answered - this.posted, firstFrame: this.first ? this.first - this.posted : 0,
			frames: v.framesDecoded ?? 0, keyFrames: v.keyFramesDecoded ?? 0, dropped: v.framesDropped ?? 0,
			freezes: v.freezeCount ?? 0, frozen: (v.totalFreezesDuration ?? 0) * 1000,
			lost: both('packetsLost'), received: both('packetsReceived'), pli: v.pliCount ?? 0, nack: both('nackCount'),
			jitterBuffer: v.jitterBufferEmittedCount ? (v.jitterBufferDelay * 1000) / v.jitterBufferEmittedCount : 0,
			rtt, currentTime: this.video.currentTime, width: this.video.videoWidth, height: this.video.videoHeight,
			codec: all.find((s) => s.id === v.codecId)?.mimeType ?? '', audioEnergy: a.totalAudioEnergy ?? 0,
			concealed: a.totalSamplesReceived ? a.concealedSamples / a.totalSamplesReceived : 0,
		}
	}
	async leave() {
		this.sound?.close()
		this.video.remove()
		return super.leave()
	}
}
`
