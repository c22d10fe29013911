package whep

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

// generator makes a stream with video every 33 ms and audio every 20 ms.
type generator struct {
	config    *packetbuf.Packet
	frames    int
	sounds    int
	pictureOf func(packetbuf.Kind, ...[]byte) *packetbuf.Packet
}

func newGenerator(t testing.TB) *generator {
	t.Helper()
	config, of := h264(t, 4)
	return &generator{config: config, pictureOf: of}
}

// next returns a video frame, and the audio up to it.
func (f *generator) next(kind packetbuf.Kind, nals ...[]byte) (out []*packetbuf.Packet) {
	p := f.pictureOf(kind, nals...)
	p.Track, p.DTS = packetbuf.Video, time.Duration(f.frames)*33*time.Millisecond
	f.frames++
	for ; time.Duration(f.sounds)*20*time.Millisecond <= p.DTS; f.sounds++ {
		out = append(out, sound(time.Duration(f.sounds)*20*time.Millisecond))
	}
	return append(out, p)
}

func (f *generator) key() []*packetbuf.Packet   { return f.next(packetbuf.Key, unit(idr, 4000)) }
func (f *generator) delta() []*packetbuf.Packet { return f.next(packetbuf.Delta, unit(slice, 2500)) }

// playingViewer returns a relay with a stream that has a keyframe, and a viewer that has received it.
func playingViewer(t testing.TB, change func(*Options)) (*fakeRelay, *generator, *testViewer) {
	t.Helper()
	h, f := newHouse(t, change), newGenerator(t)
	h.template.configs[packetbuf.Video] = f.config
	w := h.watch(t)
	h.push(append([]*packetbuf.Packet{f.config}, f.key()...)...)
	all, _ := w.frame(t)
	want := avc(4, append(sets(t, f.config), unit(idr, 4000))...)
	if got := back(t, packetbuf.H264, all); !bytes.Equal(got, want) {
		t.Fatalf("got first frame % x", head(got))
	}
	return h, f, w
}

// A viewer receives the keyframe with its parameter sets, then all frames that follow, and
// sender reports that synchronize the tracks.
func TestSession(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	begun := time.Now()
	var last *rtp.Packet
	reports := map[uint32]*rtcp.SenderReport{}
	for len(reports) < 2 || f.frames < 40 {
		h.push(f.delta()...)
		all, first := w.frame(t)
		if got := back(t, packetbuf.H264, all); !bytes.Equal(got, avc(4, unit(slice, 2500))) {
			t.Fatalf("frame %d: got % x", f.frames, head(got))
		}
		if last != nil && first.Timestamp != last.Timestamp+33*90 {
			t.Fatalf("timestamp from %d to %d", last.Timestamp, first.Timestamp)
		}
		last = first
		for len(w.reports) > 0 {
			r := <-w.reports
			reports[r.SSRC] = r
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("got reports %v", reports)
		}
	}
	for i := range f.sounds {
		if p := w.next(t, packetbuf.Audio); p.Marker || i == 0 && !bytes.Equal(p.Payload, unit(0xfc, 200)) {
			t.Fatalf("audio %d: got %v", i, p)
		}
	}
	for range 2 {
		if of := (<-w.tracks).Codec().MimeType; of != webrtc.MimeTypeH264 && of != webrtc.MimeTypeOpus {
			t.Errorf("%s", of)
		}
	}
	h.mu.Lock()
	if h.metrics.First.Load() != 1 || h.taken != 1 {
		t.Errorf("got %d joins and %d slots in use", h.metrics.First.Load(), h.taken)
	}
	h.mu.Unlock()
	if got := h.do(t, http.MethodDelete, w.location, "").status; got != http.StatusOK {
		t.Errorf("DELETE: got status %d", got)
	}
	<-w.closed
	h.left()
	if got := h.do(t, http.MethodDelete, w.location, "").status; got != http.StatusNotFound {
		t.Errorf("second DELETE: got status %d", got)
	}
}

// A missing packet is repeated unchanged.
func TestMissingPacket(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	h.push(f.delta()...)
	_, first := w.frame(t)
	w.sendFeedback(t, &rtcp.TransportLayerNack{MediaSSRC: first.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{first.SequenceNumber, first.SequenceNumber + 1})})
	for i := range uint16(2) {
		p := w.next(t, packetbuf.Video)
		if p.SequenceNumber != first.SequenceNumber+i || p.Timestamp != first.Timestamp || i == 0 && !bytes.Equal(p.Payload, first.Payload) {
			t.Errorf("got %v, want %v", p.Header, first.Header)
		}
	}
}

// When a viewer has lost video, the publisher is asked for a keyframe.
func TestPictureLossRequestsKeyframe(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	h.mu.Lock()
	h.subs[0].acceptsKeyRequests = true
	h.mu.Unlock()
	w.sendFeedback(t, &rtcp.PictureLossIndication{MediaSSRC: uint32((<-w.tracks).SSRC())})
	asked := func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.subs[0].keys > 0 }
	for !asked() {
		h.push(f.delta()...)
		w.frame(t)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[0].rewinds != 0 {
		t.Error("viewer was also rewound")
	}
}

// If the publisher cannot be asked, the newest keyframe and the frames after it are repeated,
// with increasing timestamps.
func TestPictureLossRepeatsKeyframe(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	h.push(f.delta()...)
	_, last := w.frame(t)
	w.sendFeedback(t, &rtcp.FullIntraRequest{MediaSSRC: last.SSRC, FIR: []rtcp.FIREntry{{SSRC: last.SSRC}}})
	again := func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.subs[0].rewinds > 0 }
	for keys := 0; keys == 0; {
		if !again() {
			h.push(f.delta()...)
		}
		all, first := w.frame(t)
		if int32(first.Timestamp-last.Timestamp) <= 0 || first.SequenceNumber == last.SequenceNumber {
			t.Fatalf("got %v after %v", first.Header, last.Header)
		}
		last = first
		if bytes.Contains(back(t, packetbuf.H264, all), unit(idr, 4000)) {
			keys++
		}
	}
	h.push(f.delta()...)
	for range f.frames - 1 { // all frames after the keyframe
		_, first := w.frame(t)
		if int32(first.Timestamp-last.Timestamp) <= 0 {
			t.Fatalf("got %v after %v", first.Header, last.Header)
		}
		last = first
	}
	if first := <-w.packets[packetbuf.Audio]; first != nil { // audio is not repeated
		for len(w.packets[packetbuf.Audio]) > 0 {
			p := <-w.packets[packetbuf.Audio]
			if p.Timestamp == first.Timestamp {
				t.Errorf("got repeated audio %v", p.Header)
			}
		}
	}
}

// However often a viewer requests a keyframe, requests are handled once a second.
func TestKeyframeRequestsAreLimited(t *testing.T) {
	h := newHouse(t, nil)
	p := &fakeSubscription{h: h, packets: []*packetbuf.Packet{{Kind: packetbuf.Key}}}
	v := &viewer{sub: p}
	begun := time.Now()
	for at := time.Duration(0); at <= 10*time.Second; at += 10 * time.Millisecond {
		v.keyframeWanted.Store(true)
		v.handleLoss(begun.Add(at))
	}
	if p.keys != 11 || p.rewinds != 11 {
		t.Errorf("got %d keyframe requests, %d rewinds", p.keys, p.rewinds)
	}
	v.keyframeWanted.Store(false)
	v.handleLoss(begun.Add(time.Minute))
	if p.keys != 11 {
		t.Error("keyframe requested without a request of the viewer")
	}
}

// After an ICE restart the session continues.
func TestRestart(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	h.push(f.delta()...)
	_, before := w.frame(t)
	w.restart(t)
	// Packets that are sent before the new candidate pair is found are lost.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := 0; got < 20; {
		select {
		case p := <-w.packets[packetbuf.Video]:
			if got++; p.SSRC != before.SSRC || int32(p.Timestamp-before.Timestamp) <= 0 {
				t.Fatalf("got %v after %v", p.Header, before.Header)
			}
		case <-tick.C:
			h.push(f.delta()...)
		}
	}
	// Candidates of the old ICE session are rejected.
	r := h.do(t, http.MethodPatch, w.location, "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", w.etag)
	if r.status != http.StatusPreconditionFailed {
		t.Errorf("got status %d %s", r.status, r.body.String())
	}
	if err := w.trickle(t, r.header.Get("ETag"), "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"); err != http.StatusNoContent {
		t.Errorf("candidate: got status %d", err)
	}
}

func (w *testViewer) trickle(t *testing.T, etag, lines string) int {
	t.Helper()
	return w.h.do(t, http.MethodPatch, w.location, "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"+lines, "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", etag).status
}

// However a session ends, nothing is left of it.
func TestEnds(t *testing.T) {
	hevc := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Key, DTS: time.Minute, Payload: avc(4, hevcSPS)}
	for name, end := range map[string]func(*fakeRelay, *testViewer){
		"the viewer leaves": func(_ *fakeRelay, w *testViewer) { w.close() },
		"the stream ends":   func(h *fakeRelay, _ *testViewer) { h.end() },
		"the relay ends":    func(h *fakeRelay, _ *testViewer) { _ = h.Close(context.WithoutCancel(t.Context())) },
		"another codec":     func(h *fakeRelay, _ *testViewer) { h.push(hevc) },
	} {
		h, _, w := playingViewer(t, nil)
		end(h, w)
		<-w.closed
		h.over(t)
		t.Log(name)
	}
}

// A change of the audio codec does not end the session: video continues.
func TestAudioCodecChange(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	aac := sound(time.Second)
	aac.Codec = packetbuf.AAC
	h.push(append([]*packetbuf.Packet{{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config}, aac}, f.delta()...)...)
	w.frame(t)
}

// A session that never connects is closed.
func TestUnconnected(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Connect = 50 * time.Millisecond })
	if r := h.post(t, offerText(t, "chromium")); r.status != http.StatusCreated {
		t.Fatal(r.status)
	}
	h.over(t)
}

// Close does not wait forever for a viewer that does not end.
func TestCloseIsBounded(t *testing.T) {
	h := newHouse(t, nil)
	left, _ := h.register.Add(func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("Close returned nil with a viewer left")
	}
	left()
}

// Sessions leave nothing behind.
func TestManySessions(t *testing.T) {
	h := newHouse(t, nil)
	h.template.configs[packetbuf.Video] = newGenerator(t).config
	offers := []string{offerText(t, "chromium"), offerText(t, "firefox"), offerText(t, "safari"), offerText(t, "gstreamer")}
	const all = 200
	for i := range all {
		r := h.post(t, offers[i%len(offers)])
		if got := h.do(t, http.MethodDelete, r.header.Get("Location"), "").status; got != http.StatusOK {
			t.Fatalf("DELETE: got status %d %s", got, r.body.String())
		}
	}
	h.over(t)
	if len(h.subs) != all {
		t.Errorf("got %d subscriptions", len(h.subs))
	}
}

// Connected viewers leave nothing behind, either.
func TestManyViewers(t *testing.T) {
	h, f, _ := playingViewer(t, nil)
	for range 20 {
		w := h.watch(t)
		h.push(f.key()...)
		w.frame(t)
		w.close()
	}
	h.until(func() bool { return h.taken == 1 })
}

// All viewers share one serialization of a packet.
func TestViewersShare(t *testing.T) {
	h, f, one := playingViewer(t, nil)
	other := h.watch(t)
	key := f.key()
	h.push(key...)
	a, _ := one.frame(t)
	b, _ := other.frame(t)
	p := key[len(key)-1]
	all := p.Serialized(packetbuf.RTPPayloads, func(*packetbuf.Packet) []byte { t.Error("packet was not serialized yet"); return nil })
	if !bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) || len(all) == 0 {
		t.Error("viewers get different bytes")
	}
}

// B-frames are logged once in a while, not once per viewer.
func TestWarning(t *testing.T) {
	var log strings.Builder
	s := New(Options{HTTP: streamtest.HTTP{}, Metrics: &streamtest.Metrics{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 5 {
		s.warnBFrames("live/a")
	}
	s.warnBFrames("live/b")
	if n := strings.Count(log.String(), "B-frames are left out"); n != 2 {
		t.Errorf("got %d warnings:\n%s", n, log.String())
	}
}

// A panic while a packet is sent ends only the viewer's session.
func TestPanicOverAPacketEndsTheViewer(t *testing.T) {
	h, f, w := playingViewer(t, nil)
	h.push(f.delta()...)
	w.frame(t)
	h.mu.Lock()
	p := h.subs[0]
	p.packets = append(p.packets, nil)
	close(p.more)
	p.more = make(chan struct{})
	h.mu.Unlock()
	h.left()
}
