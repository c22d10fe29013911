//go:build unix

package e2e

import (
	"fmt"
	"time"
)

// whipOptions are a publisher's.
type whipOptions struct {
	URL   string `json:"url"`
	Key   string `json:"key,omitempty"` // for Authorization: Bearer
	Width int    `json:"width,omitempty"`
	// Height and Width are 640x360 by default, and 1280x720 with Rids.
	Height     int      `json:"height,omitempty"`
	FrameRate  int      `json:"frameRate,omitempty"`  // 30
	Codec      string   `json:"codec,omitempty"`      // that is offered first: H264, VP8, ...
	Rids       []string `json:"rids,omitempty"`       // simulcast, the largest first; each next has half the size
	MaxBitrate int      `json:"maxBitrate,omitempty"` // of each layer, in bits per second
	Tone       float64  `json:"tone,omitempty"`       // in Hz, instead of the microphone's beeps
	NoVideo    bool     `json:"noVideo,omitempty"`
	NoAudio    bool     `json:"noAudio,omitempty"`
	Gather     bool     `json:"gather,omitempty"` // offer with all candidates, not before they are known
	// Proxied has media go to ProxyPort on loopback and nowhere else.
	Proxied   bool `json:"proxied,omitempty"`
	ProxyPort int  `json:"proxyPort,omitempty"`
}

// session is a publisher's or a viewer's in a page.
type session struct {
	page *page
	js   string // the expression that it is
}

// whip is a publisher.
type whip struct{ session }

// whep is a viewer.
type whep struct{ session }

// whipStats are a publisher's, since its start.
type whipStats struct {
	State     string
	RTT       float64 // of the line, in milliseconds
	Bytes     int     // of media
	Frames    int     // encoded
	KeyFrames int
	PLI, NACK int // that came
	Width     int // of the largest layer
	Codec     string
	Limit     string // why it encodes less than it could
	Layers    map[string]whipLayer
}

// whipLayer is one of them, by its rid, which is empty without simulcast.
type whipLayer struct {
	Bytes, Frames, KeyFrames, Width, Height int
	Active                                  bool
}

// publish starts a publisher and waits until it is connected.
func (p *page) publish(o whipOptions) *whip {
	p.t.Helper()
	w := &whip{p.begin("Publisher", o)}
	w.connected()
	return w
}

// view starts a viewer and waits until it is connected.
func (p *page) view(o whepOptions) *whep {
	p.t.Helper()
	v := &whep{p.begin("Viewer", o)}
	v.connected()
	return v
}

// begin makes a session and sends its offer. Sessions have numbers in their page.
func (p *page) begin(class string, options any) session {
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

// connected waits until media flows, or may.
func (s session) connected() {
	s.page.t.Helper()
	s.page.waitFor(within(s.page.t), s.js+".state === 'connected'")
}

// eval evaluates an expression about the session, which is s in it.
func (s session) eval(out any, js string) {
	s.page.t.Helper()
	s.page.eval(out, "(async (s) => ("+js+"))("+s.js+")")
}

// waitFor waits until an expression about the session, which is s in it, is true.
func (s session) waitFor(js string) {
	s.page.t.Helper()
	s.page.waitFor(within(s.page.t), "(async (s) => ("+js+"))("+s.js+")")
}

// resource is the session's URL and entity tag.
func (s session) resource() (url, etag string) {
	s.page.t.Helper()
	var r struct{ URL, Etag string }
	s.eval(&r, "{ url: s.url, etag: s.etag ?? '' }")
	return r.URL, r.Etag
}

// restart starts ICE anew by PATCH. The way that it finds may be the old one.
func (s session) restart() error {
	s.page.t.Helper()
	return s.page.try(within(s.page.t), nil, s.js+".restart()")
}

// leave ends the session by DELETE, and tells the status.
func (s session) leave() (status int) {
	s.page.t.Helper()
	s.eval(&status, "await s.leave()")
	return status
}

// vanish closes the connection and says nothing over HTTP.
func (s session) vanish() {
	s.page.t.Helper()
	s.eval(nil, "s.pc.close()")
}

func (w *whip) stats() (s whipStats) {
	w.page.t.Helper()
	w.eval(&s, "await s.stats()")
	return s
}

// bitrate is what is sent within a time, in bits per second, with retransmissions.
func (w *whip) bitrate(window time.Duration) (bits float64) {
	w.page.t.Helper()
	w.eval(&bits, fmt.Sprintf("await s.bitrate(%d)", window.Milliseconds()))
	return bits
}

// resizes has the size of the pictures change every so often.
func (w *whip) resizes(every time.Duration) {
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
