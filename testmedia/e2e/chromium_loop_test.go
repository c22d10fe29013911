//go:build unix

package e2e

import (
	"math"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// loopScript makes the page answer WHIP at /loop/whip and WHEP at /loop/whep. What is published is encoded
// again and sent to viewers.
const loopScript = `(() => {
	const far = {}, real = window.fetch
	let published, count = 0
	window.loop = { candidates: [], open: true, bearer: '', ended: 0 }
	const answering = async (pc, offer) => {
		await pc.setRemoteDescription({ type: 'offer', sdp: offer })
		await pc.setLocalDescription(await pc.createAnswer())
		while (pc.iceGatheringState !== 'complete') await pause(5)
		return pc.localDescription.sdp
	}
	const post = async (path, offer) => {
		const pc = new RTCPeerConnection(), id = ++count
		far[id] = { pc, offer, remote: offer }
		if (path === '/loop/whip') {
			published = new MediaStream()
			pc.ontrack = ({ track }) => published.addTrack(track)
			await pc.setRemoteDescription({ type: 'offer', sdp: offer })
		} else {
			for (const track of published.getTracks()) pc.addTrack(track, published)
		}
		const answer = await answering(pc, offer)
		window.loop.candidates.push(answer.match(/^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)/m)?.[1] ?? '')
		while (!window.loop.open) await pause(5)
		return new Response(answer, { status: 201, headers: { Location: path + '/' + id, ETag: '"1"', 'Content-Type': 'application/sdp' } })
	}
	const patch = async (one, fragment) => {
		const take = (re) => fragment.match(re)[0]
		one.remote = one.remote.replace(/^a=candidate.*\r\n/gm, '')
			.replace(/^a=ice-ufrag:.*$/gm, take(/^a=ice-ufrag:.*$/m)).replace(/^a=ice-pwd:.*$/gm, take(/^a=ice-pwd:.*$/m))
		const answer = await answering(one.pc, one.remote)
		const kept = answer.split('\r\n').filter((l) => /^a=(ice-|candidate)/.test(l)).join('\r\n') + '\r\n'
		return new Response(kept, { status: 200, headers: { ETag: '"2"' } })
	}
	window.fetch = (url, o) => {
		const path = new URL(url, location).pathname
		if (!path.startsWith('/loop/')) return real(url, o)
		window.loop.bearer = o.headers.Authorization ?? ''
		if (o.method === 'POST') return post(path, o.body)
		const one = far[path.split('/').pop()]
		if (o.method === 'PATCH') return patch(one, o.body)
		one.pc.close()
		window.loop.ended++
		return new Response('', { status: 200 })
	}
})()`

// openLoopPage opens a page that answers its own requests.
func openLoopPage(b *browser) *page {
	b.t.Helper()
	p := b.openClientPage()
	p.eval(nil, loopScript)
	return p
}

// TestChromiumLoop checks the scripts against each other: what a publisher sends arrives at a viewer and
// is measured.
func TestChromiumLoop(t *testing.T) {
	t.Parallel()
	awaitBrowser(t)
	b := startBrowser(t)
	p := openLoopPage(b)
	const tone, length = 880, 2 * time.Second
	w := p.publish(whipOptions{URL: "/loop/whip", Key: "secret", Codec: "VP8", Tone: tone, MaxBitrate: 400_000, Gather: true})
	var bearer string
	p.eval(&bearer, "loop.bearer")
	if url, etag := w.resource(); url != b.blank.URL+"/loop/whip/1" || etag != `"1"` || bearer != "Bearer secret" {
		t.Errorf("got %s, %s, %q", url, etag, bearer)
	}
	v := p.view(whepOptions{URL: "/loop/whep", Unmuted: true})
	v.waitDecoded(30)
	v.longestGap()
	if bits := w.bitrate(length); bits < 50_000 || bits > 700_000 {
		t.Errorf("got %.0f bit/s", bits)
	}
	sent, got, gap := w.stats(), v.stats(), v.longestGap()
	t.Logf("sent %+v", sent)
	t.Logf("got %+v, longest gap %v", got, gap)
	if sent.State != "connected" || sent.Frames < 30 || sent.KeyFrames < 1 || sent.Width == 0 || sent.Codec != "video/VP8" || len(sent.Layers) != 1 {
		t.Errorf("sent %+v", sent)
	}
	if got.State != "connected" || got.Frames < 60 || got.Width != sent.Width || got.FirstFrame <= got.Answered || got.CurrentTime < 1 || got.AudioEnergy <= 0 {
		t.Errorf("got %+v", got)
	}
	if gap < 10*time.Millisecond || gap > slack(time.Second) {
		t.Errorf("got a gap of %v", gap)
	}
	if hz, level := v.loudestTone(); math.Abs(hz-tone) > 5 || level < -60 {
		t.Errorf("got a tone of %.1f Hz at %.0f dB", hz, level)
	}
	one := v.sees()
	v.waitDecoded(30)
	other := v.sees()
	if one.Spread < 5 || one.Hash == other.Hash || len(one.Tiles) != 64 || one.Green < 10 {
		t.Errorf("got %+v, then %+v", one, other)
	}

	if err := w.restart(); err != nil {
		t.Error(err)
	}
	if _, etag := w.resource(); etag != `"2"` {
		t.Errorf("got tag %s", etag)
	}
	w.waitConnected()
	v.waitDecoded(30)
	if a, b := w.leave(), v.leave(); a != 200 || b != 200 {
		t.Errorf("DELETE: got status %d and %d", a, b)
	}
}

// TestChromiumOffersSimulcast checks that the browser offers simulcast.
func TestChromiumOffersSimulcast(t *testing.T) {
	t.Parallel()
	awaitBrowser(t)
	p := openLoopPage(startBrowser(t))
	w := p.publish(whipOptions{URL: "/loop/whip", Codec: "H264", Rids: []string{"h", "m", "l"}, NoAudio: true})
	var offers, width int
	w.eval(&offers, "s.offer.match(/a=simulcast:send h;m;l/g)?.length ?? 0")
	w.eval(&width, "s.stream.getVideoTracks()[0].getSettings().width")
	if offers != 1 || width != 1280 {
		t.Errorf("got %d offers of layers at a width of %d", offers, width)
	}
}

// TestChromiumThroughProxy checks that media uses the proxy only.
func TestChromiumThroughProxy(t *testing.T) {
	t.Parallel()
	awaitBrowser(t)
	p := openLoopPage(startBrowser(t))
	p.publish(whipOptions{URL: "/loop/whip", NoAudio: true})
	p.eval(nil, "void (loop.open = false)")
	v := &whep{p.prepare("Viewer", whepOptions{URL: "/loop/whep", NoAudio: true, Proxied: true})}
	p.eval(nil, "void ("+v.js+".started = "+v.js+".start())")
	p.waitFor(waitContext(t), "loop.candidates.length === 2")
	var port string
	p.eval(&port, "loop.candidates[1]")
	line, err := faultnet.NewUDPProxy("127.0.0.1:"+port, faultnet.UDPOptions{Down: faultnet.UDPFaults{Loss: 0.02, Delay: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	v.eval(nil, "void (s.proxyPort = "+literal(line.Port())+", loop.open = true)")
	v.waitConnected()
	v.waitDecoded(60)
	s, n := v.stats(), line.Count(faultnet.Down)
	t.Logf("got %+v, %+v down", s, n)
	if n.Forwarded < 60 || n.Dropped == 0 || s.NACK+s.Lost == 0 || s.RTT < 20 {
		t.Errorf("got %+v, %+v down", s, n)
	}
	line.BlackHole(faultnet.Both, true)
	v.waitFor("now() - s.latest > 500")
	line.BlackHole(faultnet.Both, false)
	v.waitDecoded(30)
	if gap := v.longestGap(); gap < 500*time.Millisecond {
		t.Errorf("got no video for %v", gap)
	}
	v.abort()
}

// TestChromiumKilled checks that killing the browser does not affect the test.
func TestChromiumKilled(t *testing.T) {
	t.Parallel()
	awaitBrowser(t)
	began := time.Now()
	b := startBrowser(t)
	t.Logf("started in %v", time.Since(began))
	began = time.Now()
	p := b.openClientPage()
	t.Logf("opened a page in %v", time.Since(began))
	b.kill()
	if err := p.tryEval(waitContext(t), nil, "pause(60_000)"); err == nil {
		t.Error("the page is still alive")
	}
}
