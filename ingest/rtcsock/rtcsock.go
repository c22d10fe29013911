// Package rtcsock is the transport that WHIP and WHEP share: the sockets, one UDP port and
// optionally one TCP port for all peers; the setup of ICE and DTLS; and a peer that
// answers an offer, accepts candidates and restarts ICE.
package rtcsock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
)

// Options configure Sockets, which take over both sockets.
type Options struct {
	UDP *net.UDPConn // for media over UDP; nil for none
	TCP net.Listener // for ICE over TCP; nil for none
	// PublicIPs are announced in addition to the machine's addresses.
	PublicIPs []string
	// Lite makes the relay answer connectivity checks without making any itself (RFC 8445, 2.5).
	Lite bool
	Log  *slog.Logger // nil disables logging
}

// Sockets are the sockets of all WebRTC peers of one relay.
type Sockets struct {
	options Options
	udp     *mux
	tcp     ice.TCPMux
	net     *stdnet.Net
	logger  loggers

	mu       sync.Mutex // guards the fields below
	cert     *webrtc.Certificate
	certMade time.Time // when cert was made
}

// Timeouts of ICE. If a publisher's packets stop, package watchdog detects that long before these
// timeouts. They bound how long a peer that changes networks may take to restart ICE.
const (
	iceDisconnectedTimeout = 3 * time.Second
	iceFailedTimeout       = 12 * time.Second // after disconnected
	iceKeepalive           = 2 * time.Second
)

// stunTimeout is how long a TCP connection may take to send its first check.
const stunTimeout = 5 * time.Second

// New returns Sockets with these options.
func New(o Options) (*Sockets, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.UDP == nil && o.TCP == nil {
		return nil, errors.New("open WebRTC sockets: no UDP or TCP address")
	}
	s := &Sockets{options: o, logger: loggers{o.Log}}
	var err error
	if s.net, err = stdnet.NewNet(); err != nil {
		return nil, fmt.Errorf("open WebRTC sockets: %w", err)
	}
	if o.UDP != nil {
		s.udp = newMux(o.UDP, s.net, s.logger.NewLogger("ice"))
	}
	if o.TCP != nil {
		s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: o.TCP, Logger: s.logger.NewLogger("ice-tcp"), ReadBufferSize: 64, WriteBufferSize: 4 << 20,
			FirstStunBindTimeout: stunTimeout, AliveDurationForConnFromStun: stunTimeout,
		})
	}
	return s, nil
}

// Close closes the sockets. All peers must be closed first.
func (s *Sockets) Close() error {
	var errs []error
	if s.udp != nil {
		errs = append(errs, s.udp.Close())
	}
	if s.tcp != nil {
		errs = append(errs, s.tcp.Close())
	}
	return errors.Join(errs...)
}

// Refused returns the number of packets that the system did not accept for sending.
func (s *Sockets) Refused() uint64 {
	if s.udp == nil {
		return 0
	}
	return s.udp.refused()
}

// Heartbeat is the interval between the ICE checks that detect whether a peer is still reachable.
const Heartbeat = iceKeepalive

// certificateUse is how long one certificate is used, which is far less than its validity of a month.
const certificateUse = 24 * time.Hour

// certificate returns the certificate that all peers share: browsers check only its fingerprint, which
// the answer contains, and generating one per peer would cost more than everything else.
func (s *Sockets) certificate() (webrtc.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil && time.Since(s.certMade) < certificateUse {
		return *s.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webrtc.Certificate{}, fmt.Errorf("generate DTLS certificate: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return webrtc.Certificate{}, fmt.Errorf("generate DTLS certificate: %w", err)
	}
	s.cert, s.certMade = cert, time.Now()
	return *cert, nil
}

// newConnection returns a peer connection with these codecs and interceptors.
func (s *Sockets) newConnection(media *webrtc.MediaEngine, chain *interceptor.Registry, b *bounds) (*webrtc.PeerConnection, error) {
	cert, err := s.certificate()
	if err != nil {
		return nil, err
	}
	engine, err := s.settingEngine(b)
	if err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(chain))
	pc, err := api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{cert}, BundlePolicy: webrtc.BundlePolicyMaxBundle,
	})
	if err != nil {
		return nil, fmt.Errorf("create WebRTC peer: %w", err)
	}
	return pc, nil
}

// replayWindow is the maximum number of packets by which a retransmitted packet may be late, if it
// has its original sequence number. It is the number of packets that the jitter buffer of video
// holds.
const replayWindow = 2048

// mtu is the maximum size of a received packet in bytes. Peers send packets below 1,500 bytes.
const mtu = 2048

func (s *Sockets) settingEngine(b *bounds) (webrtc.SettingEngine, error) {
	e := webrtc.SettingEngine{LoggerFactory: s.logger}
	e.SetNet(s.net)
	e.SetLite(s.options.Lite)
	e.SetICETimeouts(iceDisconnectedTimeout, iceFailedTimeout, iceKeepalive)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetReceiveMTU(mtu)
	e.SetDTLSRetransmissionInterval(200 * time.Millisecond)
	e.SetDTLSInsecureSkipHelloVerify(true) // ICE has verified the peer's address
	e.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	e.SetSRTPReplayProtectionWindow(replayWindow)
	e.BufferFactory = b.newBuffer
	e.SetICEBindingRequestHandler(b.countAddress)
	e.DisableActiveTCP(true)
	var networks []webrtc.NetworkType
	if s.udp != nil {
		e.SetICEUDPMux(s.udp)
		networks = append(networks, webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6)
	}
	if s.tcp != nil {
		e.SetICETCPMux(s.tcp)
		networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
		e.SetIncludeLoopbackCandidate(loopback(s.options.TCP.Addr()))
	}
	e.SetNetworkTypes(networks)
	if len(s.options.PublicIPs) == 0 {
		return e, nil
	}
	err := e.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
		External: s.options.PublicIPs, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteAppend,
	})
	if err != nil {
		return e, fmt.Errorf("webrtc.public_ips: %w", err)
	}
	return e, nil
}

// loopback reports whether an address is a loopback address.
func loopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UDPAddr:
		return a.IP.IsLoopback()
	}
	return false
}
