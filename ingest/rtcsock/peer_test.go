package rtcsock

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// newSockets returns Sockets on loopback.
func newSockets(t *testing.T, udp, tcp bool, change func(*Options)) *Sockets {
	t.Helper()
	var o Options
	if udp {
		o.UDP = newSocket(t, "udp4", "127.0.0.1:0")
	}
	if tcp {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o.TCP = l
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newAnsweringPeer returns a peer of the relay that receives VP8, and its packets.
func newAnsweringPeer(t *testing.T, s *Sockets) (p *Peer, packets chan *rtp.Packet) {
	t.Helper()
	media := &webrtc.MediaEngine{}
	vp8 := webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, PayloadType: 96}
	if err := media.RegisterCodec(vp8, webrtc.RTPCodecTypeVideo); err != nil {
		t.Fatal(err)
	}
	p, err := s.NewPeer(media, &interceptor.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	packets = make(chan *rtp.Packet, 1)
	p.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := r.ReadRTP()
			if err != nil {
				return
			}
			select {
			case packets <- packet:
			default:
			}
		}
	})
	return p, packets
}

// caller is a peer that offers one track of VP8.
type caller struct {
	*webrtc.PeerConnection
	track     *webrtc.TrackLocalStaticRTP
	connected chan struct{}
	seq       uint16
}

func newCaller(t *testing.T, networks ...webrtc.NetworkType) *caller {
	t.Helper()
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes(networks)
	engine.SetInterfaceFilter(func(name string) bool { return strings.HasPrefix(name, "lo") })
	return newCallerWith(t, engine)
}

func newCallerWith(t *testing.T, engine webrtc.SettingEngine) *caller {
	t.Helper()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	c := &caller{PeerConnection: pc, connected: make(chan struct{}, 8)}
	c.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "v", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = pc.AddTransceiverFromTrack(c.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		if s == webrtc.ICEConnectionStateConnected {
			c.connected <- struct{}{}
		}
	})
	return c
}

// offer returns an offer with candidates.
func (c *caller) offer(t *testing.T, o *webrtc.OfferOptions) string {
	t.Helper()
	offer, err := c.CreateOffer(o)
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

func (c *caller) acceptAnswer(t *testing.T, answer string) {
	t.Helper()
	if err := c.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatalf("set answer: %v\n%s", err, answer)
	}
}

// connectPeers connects the two and returns the answer.
func connectPeers(t *testing.T, c *caller, p *Peer) string {
	t.Helper()
	if err := p.Offer(c.offer(t, nil)); err != nil {
		t.Fatal(err)
	}
	answer, err := p.Answer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.acceptAnswer(t, answer)
	<-c.connected
	return answer
}

// waitForPacket sends packets until one has arrived.
func (c *caller) waitForPacket(t *testing.T, packets <-chan *rtp.Packet) {
	t.Helper()
	var stop atomic.Bool
	ended := make(chan struct{})
	first := c.seq + 1
	go func() {
		defer close(ended)
		for !stop.Load() {
			c.seq++
			_ = c.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: c.seq, Timestamp: uint32(c.seq) * 3000}, Payload: []byte{0x10, 1, 2, 3}})
			runtime.Gosched()
		}
	}()
	for p := range packets {
		if p.SequenceNumber-first < 1<<15 {
			break
		}
	}
	stop.Store(true)
	<-ended
}

func candidates(answer string) []string {
	return regexp.MustCompile(`a=candidate:.*`).FindAllString(strings.ReplaceAll(answer, "\r", ""), -1)
}

func TestConnects(t *testing.T) {
	for _, c := range []struct {
		name     string
		udp, tcp bool
		change   func(*Options)
		network  webrtc.NetworkType
		want     []string // in the answer's candidates
	}{
		{"by UDP", true, false, nil, webrtc.NetworkTypeUDP4, []string{" udp "}},
		{"by TCP", false, true, nil, webrtc.NetworkTypeTCP4, []string{" tcp ", "tcptype passive"}},
		{"by TCP where there is UDP too", true, true, nil, webrtc.NetworkTypeTCP4, []string{" udp ", " tcp "}},
		{"lite", true, false, func(o *Options) { o.Lite = true }, webrtc.NetworkTypeUDP4, []string{" udp "}},
		{"lite by TCP", false, true, func(o *Options) { o.Lite = true }, webrtc.NetworkTypeTCP4, []string{" tcp "}},
		{"with a public address", true, true, func(o *Options) { o.PublicIPs = []string{"203.0.113.9"} }, webrtc.NetworkTypeUDP4, []string{" 203.0.113.9 ", " 127.0.0.1 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSockets(t, c.udp, c.tcp, c.change)
			p, packets := newAnsweringPeer(t, s)
			them := newCaller(t, c.network)
			answer := connectPeers(t, them, p)
			them.waitForPacket(t, packets)
			all := strings.Join(candidates(answer), "\n")
			for _, want := range c.want {
				if !strings.Contains(all, want) {
					t.Errorf("got no %q in the answer:\n%s", want, all)
				}
			}
			if strings.Contains(answer, "a=ice-lite") != s.options.Lite {
				t.Errorf("lite %v: got\n%s", s.options.Lite, answer)
			}
			if p.RemoteUfrag() == "" || !strings.Contains(them.LocalDescription().SDP, p.RemoteUfrag()) {
				t.Errorf("got remote ufrag %q", p.RemoteUfrag())
			}
			if rtt := p.RoundTrip(); rtt < 0 || s.options.Lite && rtt != 0 {
				t.Errorf("got round trip %v", rtt)
			}
		})
	}
}

// TestRestart restarts ICE: packets arrive before and after, with the same keys.
func TestRestart(t *testing.T) {
	for _, lite := range []bool{false, true} {
		t.Run("lite="+strconv.FormatBool(lite), func(t *testing.T) {
			p, packets := newAnsweringPeer(t, newSockets(t, true, false, func(o *Options) { o.Lite = lite }))
			them := newCaller(t, webrtc.NetworkTypeUDP4)
			answer := connectPeers(t, them, p)
			them.waitForPacket(t, packets)
			for range 2 {
				before, err := fragmentOf(answer)
				if err != nil {
					t.Fatal(err)
				}
				f, err := fragmentOf(them.offer(t, &webrtc.OfferOptions{ICERestart: true}))
				if err != nil {
					t.Fatal(err)
				}
				// Malformed input changes nothing.
				bad := f
				bad.Candidates, bad.MIDs = []string{"candidate:nonsense"}, []string{""}
				if _, err := p.Restart(t.Context(), bad); !errors.Is(err, ErrCandidate) {
					t.Fatalf("malformed candidate: got %v", err)
				}
				if p.RemoteUfrag() == f.Ufrag || p.LocalDescription().SDP != answer {
					t.Fatal("failed restart: got a changed session")
				}
				ours, err := p.Restart(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				if ours.Ufrag == before.Ufrag || ours.Pwd == before.Pwd || len(ours.Candidates) == 0 || !ours.End || p.RemoteUfrag() != f.Ufrag {
					t.Errorf("restart: got %+v, before %+v", ours, before)
				}
				if answer, err = withCredentials(answer, ours); err != nil {
					t.Fatal(err)
				}
				for _, c := range ours.Candidates {
					answer += "a=" + c + "\r\n"
				}
				them.acceptAnswer(t, answer)
				answer = p.LocalDescription().SDP
				<-them.connected
				them.waitForPacket(t, packets)
			}
		})
	}
}

// TestTrickle adds candidates after the answer.
func TestTrickle(t *testing.T) {
	p, packets := newAnsweringPeer(t, newSockets(t, true, false, nil))
	them := newCaller(t, webrtc.NetworkTypeUDP4)
	full := them.offer(t, nil)
	f, err := fragmentOf(full)
	if err != nil || len(f.Candidates) == 0 {
		t.Fatalf("got %+v, %v", f, err)
	}
	bare := regexp.MustCompile(`a=(candidate:.*|end-of-candidates)\r\n`).ReplaceAllString(full, "")
	if err := p.Offer(bare); err != nil {
		t.Fatal(err)
	}
	answer, err := p.Answer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named := Fragment{Candidates: []string{dotted}, MIDs: []string{"0"}}
	if err := p.Trickle(named); err != nil {
		t.Errorf("mDNS name: got %v", err)
	}
	for _, bad := range []string{"candidate:", "candidate:1 1 udp", "candidate:1 1 udp 5 not-an-address 5 typ host", "candidate:1 1 udp 5 192.0.2.1 99999 typ host"} {
		if err := p.Trickle(Fragment{Candidates: []string{bad}, MIDs: []string{"0"}}); !errors.Is(err, ErrCandidate) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := p.Trickle(f); err != nil {
		t.Errorf("%+v: %v", f, err)
	}
	them.acceptAnswer(t, answer)
	<-them.connected
	them.waitForPacket(t, packets)
}

// TestGarbage sends the sockets packets that belong to no session.
func TestGarbage(t *testing.T) {
	s := newSockets(t, true, true, nil)
	p, packets := newAnsweringPeer(t, s)
	them := newCaller(t, webrtc.NetworkTypeUDP4)
	connectPeers(t, them, p)
	them.waitForPacket(t, packets)
	stranger := newSocket(t, "udp4", "127.0.0.1:0")
	udp := s.options.UDP.LocalAddr().(*net.UDPAddr).AddrPort()
	heads := [][]byte{
		nil,
		{0},
		{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42},
		{0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42, 0, 6, 0xff, 0xff},
		{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 4, 'a', ':', 'b', 'c'}, // a check for an unknown peer
		{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
		{23, 0xfe, 0xfd},
		{0x80, 96},
		{0x80, 0xe0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1},
		{0x80, 200, 0, 6},
		{0x81, 206, 0xff, 0xff},
	}
	for i := range 400 {
		junk := make([]byte, i%97)
		_, _ = rand.Read(junk)
		if _, err := stranger.WriteToUDPAddrPort(append(append([]byte(nil), heads[i%len(heads)]...), junk...), udp); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.Dial("tcp4", s.options.TCP.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the relay has closed the connection
	_ = conn.Close()
	them.waitForPacket(t, packets)
}

// TestGarbageFromThePeer sends garbage from the address of a connected peer.
func TestGarbageFromThePeer(t *testing.T) {
	s := newSockets(t, true, false, nil)
	p, packets := newAnsweringPeer(t, s)
	mine := newSocket(t, "udp4", "127.0.0.1:0")
	engine := webrtc.SettingEngine{}
	shared := webrtc.NewICEUDPMux(nil, mine)
	engine.SetICEUDPMux(shared)
	engine.SetIncludeLoopbackCandidate(true)
	t.Cleanup(func() { _ = shared.Close() })
	them := newCallerWith(t, engine)
	connectPeers(t, them, p)
	them.waitForPacket(t, packets)
	udp := s.options.UDP.LocalAddr().(*net.UDPAddr).AddrPort()
	for i := range 300 {
		junk := make([]byte, 1+i%200)
		_, _ = rand.Read(junk)
		junk[0] = []byte{0, 20, 22, 23, 64, 128, 129, 191, 255}[i%9]
		if _, err := mine.WriteToUDPAddrPort(junk, udp); err != nil {
			t.Fatal(err)
		}
	}
	them.waitForPacket(t, packets)
}

func TestOfferRefused(t *testing.T) {
	s := newSockets(t, true, false, nil)
	for _, text := range []string{"", "nonsense", "v=0\r\n", description[:200]} {
		p, _ := newAnsweringPeer(t, s)
		err := p.Offer(text)
		if err == nil {
			_, err = p.Answer(t.Context())
		}
		if !errors.Is(err, ErrOffer) {
			t.Errorf("%.20q: %v", text, err)
		}
		if _, err := p.Restart(context.Background(), Fragment{Ufrag: "newu", Pwd: pwd}); !errors.Is(err, ErrOffer) {
			t.Errorf("%.20q: restart: %v", text, err)
		}
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("no addresses: got no error")
	}
}
