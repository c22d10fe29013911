//go:build unix

package e2e

import (
	"fmt"
	"time"
)

// whipOptions are the options of a publisher.
type whipOptions struct {
	URL   string `json:"url"`
	Key   string `json:"key,omitempty"` // for Authorization: Bearer
	Width int    `json:"width,omitempty"`
	// Height and Width default to 640x360, and to 1280x720 with Rids.
	Height     int      `json:"height,omitempty"`
	FrameRate  int      `json:"frameRate,omitempty"`  // default: 30
	Codec      string   `json:"codec,omitempty"`      // offered first: H264, VP8, ...
	Rids       []string `json:"rids,omitempty"`       // simulcast layers, the largest first; each next one has half the size
	MaxBitrate int      `json:"maxBitrate,omitempty"` // of each layer, in bit/s
	Tone       float64  `json:"tone,omitempty"`       // frequency in Hz that replaces the microphone
	NoVideo    bool     `json:"noVideo,omitempty"`
	NoAudio    bool     `json:"noAudio,omitempty"`
	Gather     bool     `json:"gather,omitempty"` // wait for all candidates before the offer
	// Proxied sends media to ProxyPort on loopback only.
	Proxied   bool `json:"proxied,omitempty"`
	ProxyPort int  `json:"proxyPort,omitempty"`
}

// session is the session of a publisher or viewer in a page.
type session struct {
	page *page
	js   string // JavaScript expression of the session
}

// whip is a publisher.
type whip struct{ session }

// whep is a viewer.
type whep struct{ session }

// whipStats are the statistics of a publisher since its start.
type whipStats struct {
	State     string
	RTT       float64 // round-trip time in milliseconds
	Bytes     int     // of media
	Frames    int     // encoded
	KeyFrames int
	PLI, NACK int // received
	Width     int // of the largest layer
	Codec     string
	Limit     string // why the encoder is limited
	Layers    map[string]whipLayer
}

// whipLayer is a simulcast layer. Its rid is empty without simulcast.
type whipLayer struct {
	Bytes, Frames, KeyFrames, Width, Height int
	Active                                  bool
}

// publish starts a publisher and waits until it is connected.
func (p *page) publish(o whipOptions) *whip {
	p.t.Helper()
	w := &whip{p.newSession("Publisher", o)}
	w.waitConnected()
	return w
}

// view starts a viewer and waits until it is connected.
func (p *page) view(o whepOptions) *whep {
	p.t.Helper()
	v := &whep{p.newSession("Viewer", o)}
	v.waitConnected()
	return v
}

// newSession creates a session and sends its offer. Sessions are numbered in their page.
func (p *page) newSession(class string, options any) session {
	p.t.Helper()
	s := p.prepare(class, options)
	p.eval(nil, s.js+".start()")
	return s
}

func (p *page) prepare(class string, options any) session {
	p.t.Helper()
	var n int
	p.eval(&n, fmt.Sprintf("(() => { const n = Object.keys(sessions).length; sessions[n] = new %s(%s); return n })()", class, literal(options)))
	return session{page: p, js: fmt.Sprintf("sessions[%d]", n)}
}

// waitConnected waits until the session is connected.
func (s session) waitConnected() {
	s.page.t.Helper()
	s.page.waitFor(waitContext(s.page.t), s.js+".state === 'connected'")
}

// eval evaluates an expression in which s is the session.
func (s session) eval(out any, js string) {
	s.page.t.Helper()
	s.page.eval(out, "(async (s) => ("+js+"))("+s.js+")")
}

// waitFor waits until an expression is true. In it, s is the session.
func (s session) waitFor(js string) {
	s.page.t.Helper()
	s.page.waitFor(waitContext(s.page.t), "(async (s) => ("+js+"))("+s.js+")")
}

// resource returns the session's URL and entity tag.
func (s session) resource() (url, etag string) {
	s.page.t.Helper()
	var r struct{ URL, Etag string }
	s.eval(&r, "{ url: s.url, etag: s.etag ?? '' }")
	return r.URL, r.Etag
}

// restart restarts ICE with PATCH. The selected pair may remain the same.
func (s session) restart() error {
	s.page.t.Helper()
	return s.page.tryEval(waitContext(s.page.t), nil, s.js+".restart()")
}

// leave ends the session with DELETE and returns the status.
func (s session) leave() (status int) {
	s.page.t.Helper()
	s.eval(&status, "await s.leave()")
	return status
}

// abort closes the connection without an HTTP request.
func (s session) abort() {
	s.page.t.Helper()
	s.eval(nil, "s.pc.close()")
}

func (w *whip) stats() (s whipStats) {
	w.page.t.Helper()
	w.eval(&s, "await s.stats()")
	return s
}

// bitrate returns the send rate over a time in bit/s, including retransmissions.
func (w *whip) bitrate(window time.Duration) (bits float64) {
	w.page.t.Helper()
	w.eval(&bits, fmt.Sprintf("await s.bitrate(%d)", window.Milliseconds()))
	return bits
}

// resizeEvery changes the frame size at an interval.
func (w *whip) resizeEvery(every time.Duration) {
	w.page.t.Helper()
	w.eval(nil, fmt.Sprintf("s.resizes(%d)", every.Milliseconds()))
}

const whipScript = `
class Publisher extends Session {
	async start() {
		const o = this.o, sim = (o.rids ?? []).length > 0
		const want = {
			video: o.noVideo ? false : { width: o.width ?? (sim ? 1280 : 640), height: o.height ?? (sim ? 720 : 360), frameRate: o.frameRate ?? 30 },
			audio: !o.noAudio && !o.tone,
		}
		this.stream = want.video || want.audio ? await navigator.mediaDevices.getUserMedia(want) : new MediaStream()
		if (o.tone) {
			this.sound = new AudioContext()
			const source = new OscillatorNode(this.sound, { frequency: o.tone }), out = this.sound.createMediaStreamDestination()
			source.connect(out)
			source.start()
			this.stream.addTrack(out.stream.getAudioTracks()[0])
		}
		for (const track of this.stream.getTracks()) {
			const init = { direction: 'sendonly', streams: [this.stream] }
			if (track.kind === 'video') {
				const cap = o.maxBitrate ? { maxBitrate: o.maxBitrate } : {}
				init.sendEncodings = sim ? o.rids.map((rid, i) => ({ rid, scaleResolutionDownBy: 2 ** i, ...cap })) : [cap]
			}
			const t = this.pc.addTransceiver(track, init)
			if (track.kind === 'video' && o.codec) this.prefer(t, o.codec)
		}
		await this.negotiate()
	}
	prefer(transceiver, codec) {
		const all = RTCRtpSender.getCapabilities('video').codecs, first = (c) => c.mimeType.toLowerCase() === 'video/' + codec.toLowerCase()
		transceiver.setCodecPreferences([...all.filter(first), ...all.filter((c) => !first(c))])
	}
	async stats() {
		const { all, rtt } = await this.line()
		const out = all.filter((s) => s.type === 'outbound-rtp'), video = out.filter((s) => s.kind === 'video')
		const sum = (list, key) => list.reduce((n, s) => n + (s[key] ?? 0), 0)
		const largest = video.reduce((a, b) => ((a?.frameWidth ?? 0) >= (b.frameWidth ?? 0) ? a : b), undefined)
		const layers = {}
		for (const s of video) {
			layers[s.rid ?? ''] = {
				bytes: s.bytesSent, frames: s.framesEncoded ?? 0, keyFrames: s.keyFramesEncoded ?? 0,
				width: s.frameWidth ?? 0, height: s.frameHeight ?? 0, active: s.active ?? true,
			}
		}
		return {
			state: this.state, rtt, bytes: sum(out, 'bytesSent'), frames: sum(video, 'framesEncoded'), keyFrames: sum(video, 'keyFramesEncoded'),
			pli: sum(video, 'pliCount'), nack: sum(out, 'nackCount'), width: largest?.frameWidth ?? 0, layers,
			codec: all.find((s) => s.id === largest?.codecId)?.mimeType ?? '', limit: largest?.qualityLimitationReason ?? '',
		}
	}
	async bitrate(ms) {
		const from = now(), before = (await this.stats()).bytes
		await pause(ms)
		return (((await this.stats()).bytes - before) * 8000) / (now() - from)
	}
	resizes(ms) {
		let n = 0
		setInterval(() => {
			const sender = this.pc.getSenders().find((s) => s.track?.kind === 'video'), p = sender.getParameters()
			p.encodings[0].scaleResolutionDownBy = 1 + (++n % 3) / 2
			sender.setParameters(p)
		}, ms)
	}
	async leave() {
		for (const t of this.stream.getTracks()) t.stop()
		this.sound?.close()
		return super.leave()
	}
}
`
