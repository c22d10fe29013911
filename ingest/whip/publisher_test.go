package whip

import (
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// testPublisher publishes H.264 of a real encoder, and audio.
type testPublisher struct {
	*webrtc.PeerConnection
	video, audio *webrtc.TrackLocalStaticRTP
	connected    chan struct{}
	closed       chan struct{}
	feedback     chan rtcp.Packet // of pictures
	packets      []*rtp.Packet
	loops        sync.WaitGroup

	sent  int
	last  uint16 // sequence number of pictures
	shift uint16 // by which junk has moved the others
}

// opusFrame is 20 ms of silence.
var opusFrame = []byte{0xfc, 0xff, 0xfe}

func newTestPublisher(t *testing.T) *testPublisher {
	t.Helper()
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &testPublisher{
		PeerConnection: pc, connected: make(chan struct{}), closed: make(chan struct{}), feedback: make(chan rtcp.Packet, 1000),
		packets: clipOf(t, "h264 slices").packets(payloaders(packetbuf.H264)["single"](), 1200),
	}
	t.Cleanup(func() {
		_ = pc.Close()
		c.loops.Wait()
	})
	up, down := sync.OnceFunc(func() { close(c.connected) }), sync.OnceFunc(func() { close(c.closed) })
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			up()
		case webrtc.PeerConnectionStateClosed, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateDisconnected:
			down()
		}
	})
	c.video = c.add(t, webrtc.MimeTypeH264, 90000, true)
	c.audio = c.add(t, webrtc.MimeTypeOpus, 48000, false)
	return c
}

func (c *testPublisher) add(t *testing.T, mime string, rate uint32, listen bool) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rate}, mime, "s")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := c.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	c.loops.Go(func() {
		for {
			packets, _, err := tr.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if listen {
					select {
					case c.feedback <- p:
					default:
					}
				}
			}
		}
	})
	return track
}

func (c *testPublisher) offer(t *testing.T) string {
	t.Helper()
	offer, err := c.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	done := webrtc.GatheringCompletePromise(c.PeerConnection)
	if err := c.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-done
	return c.LocalDescription().SDP
}

// publish opens a session and connects.
func (c *testPublisher) publish(t *testing.T, h *testServer) (location string) {
	t.Helper()
	location, answer := h.publish(t, "/live/a/whip", c.offer(t))
	if err := c.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	<-c.connected
	return location
}

// sendFrame sends the next access unit and its audio. The clip repeats.
func (c *testPublisher) sendFrame(t *testing.T) {
	t.Helper()
	frames := int(c.packets[len(c.packets)-1].Timestamp/3000) + 1
	for _, p := range c.packets {
		if int(p.Timestamp/3000) != c.sent%frames {
			continue
		}
		q := *p
		q.SequenceNumber += uint16(c.sent/frames*len(c.packets)) + c.shift
		c.last = q.SequenceNumber
		q.Timestamp = uint32(c.sent) * 3000
		if err := c.video.WriteRTP(&q); err != nil {
			t.Fatal(err)
		}
	}
	a := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(c.sent), Timestamp: uint32(c.sent) * 1600}, Payload: opusFrame}
	if err := c.audio.WriteRTP(a); err != nil {
		t.Fatal(err)
	}
	c.sent++
}

// sendJunk sends a payload among the video packets.
func (c *testPublisher) sendJunk(t *testing.T, payload []byte) {
	t.Helper()
	c.shift++
	c.last++
	p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: c.last, Timestamp: uint32(c.sent-1) * 3000, Marker: true}, Payload: payload}
	if err := c.video.WriteRTP(p); err != nil {
		t.Fatal(err)
	}
}

// sendUntil sends frames quickly until a condition holds.
func (c *testPublisher) sendUntil(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		c.sendFrame(t)
		<-tick.C
	}
}

// sendUntilFeedback sends frames until it receives feedback of a kind.
func sendUntilFeedback[P rtcp.Packet](t *testing.T, c *testPublisher, like func(P) bool) (found P) {
	t.Helper()
	c.sendUntil(t, func() bool {
		for {
			select {
			case p := <-c.feedback:
				if one, ok := p.(P); ok && like(one) {
					found = one
					return true
				}
			default:
				return false
			}
		}
	})
	return found
}
