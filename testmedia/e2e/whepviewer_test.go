//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// whepClient is a viewer on pion that requests video only: generated audio cannot be transcoded to
// Opus.
type whepClient struct {
	url  string
	http *http.Client

	mu           sync.Mutex // guards the fields below
	pc           *webrtc.PeerConnection
	left         bool
	reconnecting bool // cut was called and the client reconnects

	track        *webrtc.TrackRemote
	waiting      map[uint16]*rtp.Packet // packets received out of order, by sequence number
	nextSequence uint16
	started      bool
	units        codecs.H264Packet
	frame        []byte
	sps          []byte
	clock        uint32 // RTP timestamp of the newest frame
	dts          time.Duration
	ready        []*packetbuf.Packet
	resumed      func(string)
}

func watchWHEP(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	c := &whepClient{url: r.url("http", "/"+stream+"/whep"), http: &http.Client{Timeout: waitLimit, Transport: &http.Transport{DisableKeepAlives: true}}}
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	v := &viewer{t: t, name: "WHEP", latency: 400 * time.Millisecond, cut: c.cut}
	v.ignores[packetbuf.Audio] = true
	c.resumed = v.recordResume
	v.start(c.read, c.leave)
	return v
}

// bufferedNet makes sockets that buffer several keyframes, as browsers do, so that a client that waits for
// the processor loses nothing.
type bufferedNet struct{ *stdnet.Net }

// ListenUDP implements transport.Net.
func (n bufferedNet) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, at)
	if err == nil {
		_ = c.SetReadBuffer(4 << 20)
	}
	return c, err
}

func loopbackPeer() (*webrtc.PeerConnection, error) {
	std, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	e := webrtc.SettingEngine{}
	e.SetNet(bufferedNet{std})
	e.SetIncludeLoopbackCandidate(true)
	e.SetSRTPReplayProtectionWindow(2048) // browsers accept retransmissions that late too
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return webrtc.NewAPI(webrtc.WithSettingEngine(e)).NewPeerConnection(webrtc.Configuration{})
}

// open opens a session and waits for its track.
func (c *whepClient) open() error {
	pc, err := loopbackPeer()
	if err != nil {
		return err
	}
	tracks, over := make(chan *webrtc.TrackRemote, 1), make(chan struct{})
	var once sync.Once
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { tracks <- t })
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			once.Do(func() { close(over) })
			_ = pc.Close()
		}
	})
	c.mu.Lock()
	c.pc = pc
	left := c.left
	c.mu.Unlock()
	if left {
		_ = pc.Close()
		return errListClosed
	}
	if err := c.ask(pc); err != nil {
		_ = pc.Close()
		return err
	}
	select {
	case c.track = <-tracks:
	case <-over:
		return errListClosed
	}
	c.waiting, c.started, c.frame, c.units = map[uint16]*rtp.Packet{}, false, nil, codecs.H264Packet{IsAVC: true}
	return nil
}

func (c *whepClient) ask(pc *webrtc.PeerConnection) error {
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return err
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	resp, err := c.http.Post(c.url, "application/sdp", strings.NewReader(pc.LocalDescription().SDP)) //nolint:noctx // it has a timeout
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("WHEP: got %s: %s", resp.Status, answer)
	}
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// read returns the next packet.
func (c *whepClient) read() (*packetbuf.Packet, error) {
	for len(c.ready) == 0 {
		p, _, err := c.track.ReadRTP()
		if err != nil {
			if !c.takeCut() {
				return nil, io.EOF // a peer's close has no reason
			}
			if err := c.open(); err != nil && !c.isCut() {
				return nil, err
			}
			c.resumed("keyframe")
			continue
		}
		if !c.started {
			c.started, c.nextSequence = true, p.SequenceNumber
		}
		if int16(p.SequenceNumber-c.nextSequence) >= 0 { //nolint:gosec // the nearest, modulo 2^16
			c.waiting[p.SequenceNumber] = p
		}
		for p := c.waiting[c.nextSequence]; p != nil; p = c.waiting[c.nextSequence] {
			delete(c.waiting, c.nextSequence)
			c.nextSequence++
			if err := c.handlePacket(p); err != nil {
				return nil, err
			}
		}
	}
	p := c.ready[0]
	c.ready = c.ready[1:]
	return p, nil
}

// handlePacket handles the packets in order of their sequence numbers.
func (c *whepClient) handlePacket(p *rtp.Packet) error {
	if len(p.Payload) == 0 {
		return nil // padding to probe the network
	}
	b, err := c.units.Unmarshal(p.Payload)
	if err != nil {
		return fmt.Errorf("RTP: %w", err)
	}
	c.frame = append(c.frame, b...)
	if p.Marker {
		c.completeFrame(p.Timestamp)
		c.frame = nil
	}
	return nil
}

// completeFrame makes a packet of a frame, and another of its parameter sets if they have changed.
func (c *whepClient) completeFrame(timestamp uint32) {
	if c.clock == 0 {
		c.clock = timestamp
	}
	c.dts += time.Duration(int32(timestamp-c.clock)) * time.Second / 90000 //nolint:gosec // the nearest, modulo 2^32
	c.clock = timestamp
	kind := packetbuf.Delta
	body := withoutParameterSets(c.frame)
	if sps := c.frame[:len(c.frame)-len(body)]; len(sps) > 0 && !bytes.Equal(sps, c.sps) {
		c.sps = sps
		c.ready = append(c.ready, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, DTS: c.dts})
	}
	if len(body) > 4 && body[4]&0x1f == 5 {
		kind = packetbuf.Key
	}
	c.ready = append(c.ready, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: kind, DTS: c.dts.Round(time.Millisecond), Payload: body})
}

// takeCut reports, once for each cut, whether the test has cut the session.
func (c *whepClient) takeCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.reconnecting
	c.reconnecting = false
	return again && !c.left
}

// isCut reports whether the session was cut while the client reconnected; the next read detects it.
func (c *whepClient) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reconnecting && !c.left
}

func (c *whepClient) cut() {
	c.mu.Lock()
	c.reconnecting = true
	pc := c.pc
	c.mu.Unlock()
	_ = pc.Close()
}

func (c *whepClient) leave() {
	c.mu.Lock()
	c.left = true
	pc := c.pc
	c.mu.Unlock()
	_ = pc.Close()
}
