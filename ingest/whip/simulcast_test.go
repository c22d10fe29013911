package whip

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// TestSimulcast publishes three layers of VP8: the best becomes the stream, each is a rendition,
// and each is asked for keyframes separately.
func TestSimulcast(t *testing.T) {
	h := newTestServer(t, nil)
	media := &webrtc.MediaEngine{}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	if err := media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	if err := webrtc.ConfigureSimulcastExtensionHeaders(media); err != nil {
		t.Fatal(err)
	}
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{})).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	c := &testPublisher{PeerConnection: pc, connected: make(chan struct{})}
	t.Cleanup(func() {
		_ = pc.Close()
		c.loops.Wait()
	})
	up := sync.OnceFunc(func() { close(c.connected) })
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			up()
		}
	})
	rids := []string{"l", "m", "h"}
	var layers []*webrtc.TrackLocalStaticRTP
	var sender *webrtc.RTPSender
	for _, rid := range rids {
		track, err := webrtc.NewTrackLocalStaticRTP(vp8, "v", "s", webrtc.WithRTPStreamID(rid))
		if err != nil {
			t.Fatal(err)
		}
		if layers = append(layers, track); sender == nil {
			tr, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
			if err != nil {
				t.Fatal(err)
			}
			sender = tr.Sender()
		} else if err := sender.AddEncoding(track); err != nil {
			t.Fatal(err)
		}
	}
	c.publish(t, h)
	asked := make(chan string, 100) // a keyframe of a layer
	for _, rid := range rids {
		c.loops.Go(func() {
			for {
				packets, _, err := sender.ReadSimulcastRTCP(rid)
				if err != nil {
					return
				}
				for _, p := range packets {
					if _, ok := p.(*rtcp.PictureLossIndication); ok {
						asked <- rid
					}
				}
			}
		})
	}

	parameters := sender.GetParameters()
	extension := func(uri string) uint8 {
		i := slices.IndexFunc(parameters.HeaderExtensions, func(e webrtc.RTPHeaderExtensionParameter) bool { return e.URI == uri })
		if i < 0 {
			t.Fatalf("got no %s in the answer", uri)
		}
		return uint8(parameters.HeaderExtensions[i].ID)
	}
	mid, rid := extension(sdp.SDESMidURI), extension(sdp.SDESRTPStreamIDURI)
	wanted := map[string]bool{"l": true, "m": true, "h": true}
	n := 0
	frame := func() {
		for i, track := range layers {
			p := &rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n) * 900, Marker: true},
				Payload: []byte{0x10, 1, byte(i), 0},
			}
			if wanted[rids[i]] {
				p.Payload = append([]byte{0x10, 0, byte(i), 0, 0x9d, 1, 0x2a}, binary.LittleEndian.AppendUint16(nil, uint16(sides[i]))...)
				p.Payload = binary.LittleEndian.AppendUint16(p.Payload, uint16(sides[i]))
				wanted[rids[i]] = n < 20 // until the tracks are known by their first packets
			}
			_ = p.SetExtension(mid, []byte("0"))
			_ = p.SetExtension(rid, []byte(rids[i]))
			if err := track.WriteRTP(p); err != nil {
				t.Fatal(err)
			}
		}
		n++
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	again := false // the best was asked once more, when it fed the stream
	s := h.stream("a")
	fed := func() (best, renditions bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(s.packets) == 0 {
			return false, false
		}
		return s.packets[len(s.packets)-1].Payload[1] == 2, h.sinks["a~l"] != nil && h.sinks["a~m"] != nil && h.sinks["a~h"] != nil
	}
	for best, renditions := fed(); !best || !renditions || !again; best, renditions = fed() {
		frame()
		if best && renditions {
			s.session.(ingest.KeyRequester).RequestKey()
		}
		for len(asked) > 0 {
			one := <-asked
			wanted[one] = true
			again = again || best && renditions && one == "h"
		}
		<-tick.C
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	last := byte(0xff)
	for _, p := range s.packets {
		if p.Kind == packetbuf.Config {
			continue
		}
		if p.Payload[1] != last && p.Kind != packetbuf.Key {
			t.Errorf("got layer %d after %d without a keyframe", p.Payload[1], last)
		}
		last = p.Payload[1]
	}
}
