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

// generator makes a stream: pictures every 33 ms, sound every 20.
type generator struct {
	config    *packetbuf.Packet
	pictures  int
	sounds    int
	pictureOf func(packetbuf.Kind, ...[]byte) *packetbuf.Packet
}

func newGenerator(t testing.TB) *generator {
	t.Helper()
	config, of := h264(t, 4)
	return &generator{config: config, pictureOf: of}
}

// next is a picture, and the sound up to it.
func (f *generator) next(kind packetbuf.Kind, nals ...[]byte) (out []*packetbuf.Packet) {
	p := f.pictureOf(kind, nals...)
	p.Track, p.DTS = packetbuf.Video, time.Duration(f.pictures)*33*time.Millisecond
	f.pictures++
	for ; time.Duration(f.sounds)*20*time.Millisecond <= p.DTS; f.sounds++ {
		out = append(out, sound(time.Duration(f.sounds)*20*time.Millisecond))
	}
	return append(out, p)
}

func (f *generator) key() []*packetbuf.Packet   { return f.next(packetbuf.Key, unit(idr, 4000)) }
func (f *generator) delta() []*packetbuf.Packet { return f.next(packetbuf.Delta, unit(slice, 2500)) }

// showing is a house with a stream that has a keyframe, and a viewer that has got it.
func showing(t testing.TB, change func(*Options)) (*fakeRelay, *generator, *testViewer) {
	t.Helper()
	h, f := newHouse(t, change), newGenerator(t)
	h.template.configs[packetbuf.Video] = f.config
	w := h.watch(t)
	h.push(append([]*packetbuf.Packet{f.config}, f.key()...)...)
	all, _ := w.frame(t)
	want := avc(4, append(sets(t, f.config), unit(idr, 4000))...)
	if got := back(t, packetbuf.H264, all); !bytes.Equal(got, want) {
		t.Fatalf("the first picture: % x", head(got))
	}
	return h, f, w
}

// A viewer gets the keyframe with its parameter sets, then all that follows, and reports that
// put pictures and sound together.
func TestSession(t *testing.T) {
	h, f, w := showing(t, nil)
	begun := time.Now()
	var last *rtp.Packet
	reports := map[uint32]*rtcp.SenderReport{}
	for len(reports) < 2 || f.pictures < 40 {
		h.push(f.delta()...)
		all, first := w.frame(t)
		if got := back(t, packetbuf.H264, all); !bytes.Equal(got, avc(4, unit(slice, 2500))) {
			t.Fatalf("picture %d: % x", f.pictures, head(got))
		}
		if last != nil && first.Timestamp != last.Timestamp+33*90 {
			t.Fatalf("from %d to %d", last.Timestamp, first.Timestamp)
		}
		last = first
		for len(w.reports) > 0 {
			r := <-w.reports
			reports[r.SSRC] = r
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("reports: %v", reports)
		}
	}
	for i := range f.sounds {
		if p := w.next(t, packetbuf.Audio); p.Marker || i == 0 && !bytes.Equal(p.Payload, unit(0xfc, 200)) {
			t.Fatalf("sound %d: %v", i, p)
		}
	}
	for range 2 {
		if of := (<-w.tracks).Codec().MimeType; of != webrtc.MimeTypeH264 && of != webrtc.MimeTypeOpus {
			t.Errorf("%s", of)
		}
	}
	h.mu.Lock()
	if h.metrics.First.Load() != 1 || h.taken != 1 {
		t.Errorf("%d have joined, %d slots are taken", h.metrics.First.Load(), h.taken)
	}
	h.mu.Unlock()
	if got := h.do(t, http.MethodDelete, w.location, "").status; got != http.StatusOK {
		t.Errorf("DELETE: %d", got)
	}
	<-w.closed
	h.left()
	if got := h.do(t, http.MethodDelete, w.location, "").status; got != http.StatusNotFound {
		t.Errorf("DELETE once more: %d", got)
	}
}

// What is missing comes again, as it was.
func TestMissingPacket(t *testing.T) {
	h, f, w := showing(t, nil)
	h.push(f.delta()...)
	_, first := w.frame(t)
	w.says(t, &rtcp.TransportLayerNack{MediaSSRC: first.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{first.SequenceNumber, first.SequenceNumber + 1})})
	for i := range uint16(2) {
		p := w.next(t, packetbuf.Video)
		if p.SequenceNumber != first.SequenceNumber+i || p.Timestamp != first.Timestamp || i == 0 && !bytes.Equal(p.Payload, first.Payload) {
			t.Errorf("%v is not %v", p.Header, first.Header)
		}
	}
}

// A viewer that has lost the picture has the publisher asked for a keyframe.
func TestLostPicture(t *testing.T) {
	h, f, w := showing(t, nil)
	h.mu.Lock()
	h.places[0].answers = true
	h.mu.Unlock()
	w.says(t, &rtcp.PictureLossIndication{MediaSSRC: uint32((<-w.tracks).SSRC())})
	asked := func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.places[0].keys > 0 }
	for !asked() {
		h.push(f.delta()...)
		w.frame(t)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.places[0].rewinds != 0 {
		t.Error("the viewer is sent back nevertheless")
	}
}

// Where the publisher cannot be asked the newest keyframe comes once more, and what follows it,
// with timestamps that rise.
func TestLostPictureOfDeafPublisher(t *testing.T) {
	h, f, w := showing(t, nil)
	h.push(f.delta()...)
	_, last := w.frame(t)
	w.says(t, &rtcp.FullIntraRequest{MediaSSRC: last.SSRC, FIR: []rtcp.FIREntry{{SSRC: last.SSRC}}})
	again := func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.places[0].rewinds > 0 }
	for keys := 0; keys == 0; {
		if !again() {
			h.push(f.delta()...)
		}
		all, first := w.frame(t)
		if int32(first.Timestamp-last.Timestamp) <= 0 || first.SequenceNumber == last.SequenceNumber {
			t.Fatalf("%v behind %v", first.Header, last.Header)
		}
		last = first
		if bytes.Contains(back(t, packetbuf.H264, all), unit(idr, 4000)) {
			keys++
		}
	}
	h.push(f.delta()...)
	for range f.pictures - 1 { // all from behind the keyframe on
		_, first := w.frame(t)
		if int32(first.Timestamp-last.Timestamp) <= 0 {
			t.Fatalf("%v behind %v", first.Header, last.Header)
		}
		last = first
	}
	if first := <-w.packets[packetbuf.Audio]; first != nil { // no sound twice
		for len(w.packets[packetbuf.Audio]) > 0 {
			p := <-w.packets[packetbuf.Audio]
			if p.Timestamp == first.Timestamp {
				t.Errorf("%v once more", p.Header)
			}
		}
	}
}

// However often a viewer asks, it is heeded once a second.
func TestPleading(t *testing.T) {
	h := newHouse(t, nil)
	p := &place{h: h, packets: []*packetbuf.Packet{{Kind: packetbuf.Key}}}
	v := &viewer{sub: p}
	begun := time.Now()
	for at := time.Duration(0); at <= 10*time.Second; at += 10 * time.Millisecond {
		v.keyframeWanted.Store(true)
		v.handleLoss(begun.Add(at))
	}
	if p.keys != 11 || p.rewinds != 11 {
		t.Errorf("%d times, %d back", p.keys, p.rewinds)
	}
	v.keyframeWanted.Store(false)
	v.handleLoss(begun.Add(time.Minute))
	if p.keys != 11 {
		t.Error("without being asked")
	}
}

// After a restart of ICE the session goes on.
func TestRestart(t *testing.T) {
	h, f, w := showing(t, nil)
	h.push(f.delta()...)
	_, before := w.frame(t)
	w.restart(t)
	// What is sent before the new way is found is lost.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for got := 0; got < 20; {
		select {
		case p := <-w.packets[packetbuf.Video]:
			if got++; p.SSRC != before.SSRC || int32(p.Timestamp-before.Timestamp) <= 0 {
				t.Fatalf("%v behind %v", p.Header, before.Header)
			}
		case <-tick.C:
			h.push(f.delta()...)
		}
	}
	// Candidates of the old session are of no use any more.
	r := h.do(t, http.MethodPatch, w.location, "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", w.etag)
	if r.status != http.StatusPreconditionFailed {
		t.Errorf("%d %s", r.status, r.body.String())
	}
	if err := w.trickle(t, r.header.Get("ETag"), "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"); err != http.StatusNoContent {
		t.Errorf("a candidate: %d", err)
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
		h, _, w := showing(t, nil)
		end(h, w)
		<-w.closed
		h.over(t)
		t.Log(name)
	}
}

// A change of the sound's codec is not the end: the pictures go on.
func TestSoundChanges(t *testing.T) {
	h, f, w := showing(t, nil)
	aac := sound(time.Second)
	aac.Codec = packetbuf.AAC
	h.push(append([]*packetbuf.Packet{{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config}, aac}, f.delta()...)...)
	w.frame(t)
}

// One that never connects is given up.
func TestUnconnected(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Connect = 50 * time.Millisecond })
	if r := h.post(t, offerText(t, "chromium")); r.status != http.StatusCreated {
		t.Fatal(r.status)
	}
	h.over(t)
}

// Close does not wait for ever for a place that does not let go.
func TestCloseIsBounded(t *testing.T) {
	h := newHouse(t, nil)
	left, _ := h.register.Add(func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("closed with a viewer")
	}
	left()
}

// Sessions come and go; what they start ends with them.
func TestManySessions(t *testing.T) {
	h := newHouse(t, nil)
	h.template.configs[packetbuf.Video] = newGenerator(t).config
	offers := []string{offerText(t, "chromium"), offerText(t, "firefox"), offerText(t, "safari"), offerText(t, "gstreamer")}
	const all = 200
	for i := range all {
		r := h.post(t, offers[i%len(offers)])
		if got := h.do(t, http.MethodDelete, r.header.Get("Location"), "").status; got != http.StatusOK {
			t.Fatalf("DELETE: %d %s", got, r.body.String())
		}
	}
	h.over(t)
	if len(h.places) != all {
		t.Errorf("%d places", len(h.places))
	}
}

// Viewers that connect come and go, too.
func TestManyViewers(t *testing.T) {
	h, f, _ := showing(t, nil)
	for range 20 {
		w := h.watch(t)
		h.push(f.key()...)
		w.frame(t)
		w.close()
	}
	h.until(func() bool { return h.taken == 1 })
}

// Everybody's packets are one another's: the bytes are made once.
func TestViewersShare(t *testing.T) {
	h, f, one := showing(t, nil)
	other := h.watch(t)
	key := f.key()
	h.push(key...)
	a, _ := one.frame(t)
	b, _ := other.frame(t)
	p := key[len(key)-1]
	all := p.Serialized(packetbuf.RTPPayloads, func(*packetbuf.Packet) []byte { t.Error("not made yet"); return nil })
	if !bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) || len(all) == 0 {
		t.Error("viewers get different bytes")
	}
}

// A log for whoever runs the relay: of B pictures once in a while, not once a viewer.
func TestWarning(t *testing.T) {
	var log strings.Builder
	s := New(Options{HTTP: streamtest.HTTP{}, Metrics: &streamtest.Metrics{}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for range 5 {
		s.warnBFrames("live/a")
	}
	s.warnBFrames("live/b")
	if n := strings.Count(log.String(), "B-frames are left out"); n != 2 {
		t.Errorf("%d times:\n%s", n, log.String())
	}
}

// A panic over a packet ends the viewer's session, and nothing else.
func TestPanicOverAPacketEndsTheViewer(t *testing.T) {
	h, f, w := showing(t, nil)
	h.push(f.delta()...)
	w.frame(t)
	h.mu.Lock()
	p := h.places[0]
	p.packets = append(p.packets, nil)
	close(p.news)
	p.news = make(chan struct{})
	h.mu.Unlock()
	h.left()
}
