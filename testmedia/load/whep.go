package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
)

// h264 is the codec of all peers, with the feedback of a browser.
var h264 = webrtc.RTPCodecParameters{PayloadType: 102, RTPCodecCapability: webrtc.RTPCodecCapability{
	MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
	SDPFmtpLine:  "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
	RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}},
}}

// peers makes peer connections for viewers. They receive and decrypt, and do nothing else.
type peers struct {
	api  *webrtc.API
	cert webrtc.Certificate
}

var newPeers = sync.OnceValues(func() (*peers, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	m := &webrtc.MediaEngine{}
	if err := m.RegisterCodec(h264, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	own, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	settings := loopbackSettings()
	settings.SetNet(bufferedNet{own})
	return &peers{
		api:  webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(settings), webrtc.WithInterceptorRegistry(&interceptor.Registry{})),
		cert: *cert,
	}, nil
})

// loopbackSettings returns settings with which a peer uses loopback only.
func loopbackSettings() webrtc.SettingEngine {
	e := webrtc.SettingEngine{}
	e.SetIncludeLoopbackCandidate(true)
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return e
}

// bufferedNet makes sockets whose buffers hold a keyframe while a viewer waits for the processor, so that
// only the sender causes loss.
type bufferedNet struct{ *stdnet.Net }

// ListenUDP implements transport.Net.
func (n bufferedNet) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, at)
	if err == nil {
		_ = c.SetReadBuffer(1 << 20)
	}
	return c, err
}

// openWHEP plays the stream at a URL over WHEP.
func openWHEP(url string) (*viewer, error) {
	p, err := newPeers()
	if err != nil {
		return nil, err
	}
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{p.cert}})
	if err != nil {
		return nil, err
	}
	r := &trackReader{pc: pc, tracks: make(chan *webrtc.TrackRemote, 1), gone: make(chan struct{})}
	v := &viewer{ReadCloser: r, rtp: true}
	if err := r.ask(url, v); err != nil {
		_ = pc.Close()
		return nil, err
	}
	return v, nil
}

// trackReader reads the packets of a viewer's track, one per Read.
type trackReader struct {
	pc     *webrtc.PeerConnection
	tracks chan *webrtc.TrackRemote
	track  *webrtc.TrackRemote
	gone   chan struct{}
}

func (r *trackReader) ask(url string, v *viewer) error {
	recvonly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	if _, err := r.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, recvonly); err != nil {
		return err
	}
	r.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { r.tracks <- t })
	offer, err := r.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(r.pc)
	if err := r.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	v.begun = time.Now()
	resp, err := http.Post(url, "application/sdp", strings.NewReader(r.pc.LocalDescription().SDP)) //nolint:gosec // of a program on this machine
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s: %w", resp.Status, answer, err)
	}
	return r.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// Read implements io.Reader.
func (r *trackReader) Read(b []byte) (int, error) {
	if r.track == nil {
		select {
		case r.track = <-r.tracks:
		case <-r.gone:
			return 0, io.EOF
		}
	}
	n, _, err := r.track.Read(b)
	return n, err
}

// Close implements io.Closer.
func (r *trackReader) Close() error {
	close(r.gone)
	return r.pc.Close()
}

// sequenceTracker counts missing RTP sequence numbers.
type sequenceTracker struct {
	begun bool
	next  uint16
}

// missing returns the change in the number of missing packets. It is negative for a packet that arrives
// late.
func (s *sequenceTracker) missing(packet []byte) int64 {
	if len(packet) < 4 {
		return 0
	}
	seq := binary.BigEndian.Uint16(packet[2:])
	ahead := int16(seq - s.next) //nolint:gosec // the nearest, modulo 2^16
	switch {
	case !s.begun:
		s.begun, ahead = true, 0
	case ahead < 0:
		return -1
	}
	s.next = seq + 1
	return int64(ahead)
}
