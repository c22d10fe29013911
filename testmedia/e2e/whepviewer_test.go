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

// whepClient is a viewer on pion that wants the picture alone: made sound cannot be bridged.
type whepClient struct {
	url  string
	http *http.Client

	mu    sync.Mutex // guards what follows
	pc    *webrtc.PeerConnection
	left  bool
	again bool // it was cut and comes back

	track   *webrtc.TrackRemote
	waiting map[uint16]*rtp.Packet // by sequence number, until they are due
	due     uint16
	any     bool
	units   codecs.H264Packet
	picture []byte
	sps     []byte
	clock   uint32 // RTP timestamp of the newest picture
	dts     time.Duration
	ready   []*packetbuf.Packet
	resumed func(string)
}

func watchWHEP(t testing.TB, r *relay, stream string) *viewer {
	t.Helper()
	c := &whepClient{url: r.url("http", "/"+stream+"/whep"), http: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	if err := c.open(); err != nil {
		t.Fatal(err)
	}
	v := &viewer{t: t, name: "WHEP", behind: 400 * time.Millisecond, cut: c.cut}
	v.deaf[packetbuf.Audio] = true
	c.resumed = v.resumed
	v.start(c.read, c.leave)
	return v
}

// roomy gives sockets that hold some keyframes, as browsers' do: one whose program waits for its
// turn loses nothing.
type roomy struct{ *stdnet.Net }

// ListenUDP implements transport.Net.
func (n roomy) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
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
	e.SetNet(roomy{std})
	e.SetIncludeLoopbackCandidate(true)
	e.SetSRTPReplayProtectionWindow(2048) // browsers take what was sent again that late, too
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return webrtc.NewAPI(webrtc.WithSettingEngine(e)).NewPeerConnection(webrtc.Configuration{})
}

// open makes a session and waits for its track.
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
		return errOver
	}
	if err := c.ask(pc); err != nil {
		_ = pc.Close()
		return err
	}
	select {
	case c.track = <-tracks:
	case <-over:
		return errOver
	}
	c.waiting, c.any, c.picture, c.units = map[uint16]*rtp.Packet{}, false, nil, codecs.H264Packet{IsAVC: true}
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
		return fmt.Errorf("WHEP: %s: %s", resp.Status, answer)
	}
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// read is the next packet.
func (c *whepClient) read() (*packetbuf.Packet, error) {
	for len(c.ready) == 0 {
		p, _, err := c.track.ReadRTP()
		if err != nil {
			if !c.comesBack() {
				return nil, io.EOF // how a peer says that it is over does not tell why
			}
			if err := c.open(); err != nil && !c.cutAgain() {
				return nil, err
			}
			c.resumed("keyframe")
			continue
		}
		if !c.any {
			c.any, c.due = true, p.SequenceNumber
		}
		if int16(p.SequenceNumber-c.due) >= 0 { //nolint:gosec // the nearest, modulo 2^16
			c.waiting[p.SequenceNumber] = p
		}
		for p := c.waiting[c.due]; p != nil; p = c.waiting[c.due] {
			delete(c.waiting, c.due)
			c.due++
			if err := c.take(p); err != nil {
				return nil, err
			}
		}
	}
	p := c.ready[0]
	c.ready = c.ready[1:]
	return p, nil
}

// take takes the packets in their order.
func (c *whepClient) take(p *rtp.Packet) error {
	if len(p.Payload) == 0 {
		return nil // padding, to probe the line
	}
	b, err := c.units.Unmarshal(p.Payload)
	if err != nil {
		return fmt.Errorf("RTP: %w", err)
	}
	c.picture = append(c.picture, b...)
	if p.Marker {
		c.whole(p.Timestamp)
		c.picture = nil
	}
	return nil
}

// whole makes a packet of a picture, and of its parameter sets where they are others.
func (c *whepClient) whole(timestamp uint32) {
	if c.clock == 0 {
		c.clock = timestamp
	}
	c.dts += time.Duration(int32(timestamp-c.clock)) * time.Second / 90000 //nolint:gosec // the nearest, modulo 2^32
	c.clock = timestamp
	kind := packetbuf.Delta
	body := withoutParameterSets(c.picture)
	if sps := c.picture[:len(c.picture)-len(body)]; len(sps) > 0 && !bytes.Equal(sps, c.sps) {
		c.sps = sps
		c.ready = append(c.ready, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, DTS: c.dts})
	}
	if len(body) > 4 && body[4]&0x1f == 5 {
		kind = packetbuf.Key
	}
	c.ready = append(c.ready, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: kind, DTS: c.dts.Round(time.Millisecond), Payload: body})
}

// comesBack tells whether the session was cut by the test; once for each cut.
func (c *whepClient) comesBack() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.again
	c.again = false
	return again && !c.left
}

// cutAgain tells whether it was cut while it came back; the next read finds that.
func (c *whepClient) cutAgain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.again && !c.left
}

func (c *whepClient) cut() {
	c.mu.Lock()
	c.again = true
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
