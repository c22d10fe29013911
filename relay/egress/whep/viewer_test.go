package whep

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// testViewer is a viewer that receives, and does nothing by itself.
type testViewer struct {
	*webrtc.PeerConnection
	h        *fakeRelay
	location string
	etag     string
	packets  [packetbuf.NumTracks]chan *rtp.Packet
	reports  chan *rtcp.SenderReport
	tracks   chan *webrtc.TrackRemote
	closed   chan struct{} // closed when the relay has closed the connection
	loops    sync.WaitGroup

	mu   sync.Mutex // guards left, and that no loop begins after it
	left bool
}

// newTestViewer returns a viewer that has not sent an offer.
func newTestViewer(t testing.TB, h *fakeRelay) *testViewer {
	t.Helper()
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetInterfaceFilter(func(name string) bool { return strings.HasPrefix(name, "lo") })
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	engine.DisableSRTPReplayProtection(true) // so that it receives repeated packets
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	w := &testViewer{PeerConnection: pc, h: h, reports: make(chan *rtcp.SenderReport, 1000), tracks: make(chan *webrtc.TrackRemote, 2), closed: make(chan struct{})}
	for i := range w.packets {
		w.packets[i] = make(chan *rtp.Packet, 10000)
	}
	t.Cleanup(w.close)
	gone := sync.OnceFunc(func() { close(w.closed) })
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed {
			gone()
		}
	})
	pc.OnTrack(w.read)
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// read records the packets of a track, and its sender reports.
func (w *testViewer) read(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	w.tracks <- track
	of := packetbuf.Video
	if track.Kind() == webrtc.RTPCodecTypeAudio {
		of = packetbuf.Audio
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left {
		return
	}
	w.loops.Go(func() {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			w.packets[of] <- p
		}
	})
	w.loops.Go(func() {
		for {
			packets, _, err := receiver.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if r, ok := p.(*rtcp.SenderReport); ok {
					w.reports <- r
				}
			}
		}
	})
}

func (w *testViewer) close() {
	w.mu.Lock()
	w.left = true
	w.mu.Unlock()
	_ = w.Close()
	w.loops.Wait()
}

// offer returns an offer with all candidates.
func (w *testViewer) offer(t testing.TB, o *webrtc.OfferOptions) string {
	t.Helper()
	offer, err := w.CreateOffer(o)
	if err != nil {
		t.Fatal(err)
	}
	done := webrtc.GatheringCompletePromise(w.PeerConnection)
	if err := w.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-done
	return w.LocalDescription().SDP
}

func (w *testViewer) answered(t testing.TB, answer string) {
	t.Helper()
	if err := w.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
}

// watch connects a viewer.
func (h *fakeRelay) watch(t testing.TB) *testViewer {
	t.Helper()
	w := newTestViewer(t, h)
	r := h.post(t, w.offer(t, nil))
	if r.status != http.StatusCreated {
		t.Fatalf("got status %d %s", r.status, r.body.String())
	}
	w.location, w.etag = r.header.Get("Location"), r.header.Get("ETag")
	w.answered(t, r.body.String())
	return w
}

// restart restarts ICE.
func (w *testViewer) restart(t *testing.T) {
	t.Helper()
	var body strings.Builder
	for line := range strings.Lines(w.offer(t, &webrtc.OfferOptions{ICERestart: true})) {
		for _, kept := range []string{"m=", "a=mid", "a=ice-", "a=candidate", "a=group"} {
			if strings.HasPrefix(line, kept) {
				body.WriteString(line)
			}
		}
	}
	r := w.h.do(t, http.MethodPatch, w.location, body.String(), "Content-Type", "application/trickle-ice-sdpfrag", "If-Match", "*")
	f, err := rtcsock.ParseFragment(r.body.String())
	if r.status != http.StatusOK || err != nil || r.header.Get("ETag") == w.etag {
		t.Fatalf("%d %s %v", r.status, r.body.String(), err)
	}
	var answer strings.Builder
	for line := range strings.Lines(w.CurrentRemoteDescription().SDP) {
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag"):
			line = "a=ice-ufrag:" + f.Ufrag + "\r\n"
		case strings.HasPrefix(line, "a=ice-pwd"):
			line = "a=ice-pwd:" + f.Pwd + "\r\n"
		}
		answer.WriteString(line)
	}
	w.answered(t, answer.String())
}

// next returns the next packet of a track.
func (w *testViewer) next(t testing.TB, of packetbuf.Track) *rtp.Packet {
	t.Helper()
	select {
	case p := <-w.packets[of]:
		return p
	case <-t.Context().Done():
		t.Fatal("got no packet")
		return nil
	}
}

// frame returns the payloads of the next complete frame, and its first packet.
func (w *testViewer) frame(t testing.TB) (payloads [][]byte, first *rtp.Packet) {
	t.Helper()
	for {
		p := w.next(t, packetbuf.Video)
		if first == nil {
			first = p
		}
		if p.Timestamp != first.Timestamp || int(p.SequenceNumber-first.SequenceNumber) != len(payloads) {
			t.Fatalf("got %v after %v and %d others", p.Header, first.Header, len(payloads))
		}
		if payloads = append(payloads, p.Payload); p.Marker {
			return payloads, first
		}
	}
}

// sendFeedback sends RTCP feedback.
func (w *testViewer) sendFeedback(t testing.TB, p rtcp.Packet) {
	t.Helper()
	if err := w.WriteRTCP([]rtcp.Packet{p}); err != nil {
		t.Fatal(err)
	}
}
