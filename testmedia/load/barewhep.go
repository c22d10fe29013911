package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// runBareWHEP is the reference program for WebRTC. It uses pion as its examples do: with default
// interceptors and one track for all peers.
func runBareWHEP(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	_ = udp.SetReadBuffer(4 << 20) // the same size as in the relay
	_ = udp.SetWriteBuffer(4 << 20)
	settings := loopbackSettings()
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, udp))
	m := &webrtc.MediaEngine{}
	if err := m.RegisterCodec(h264, webrtc.RTPCodecTypeVideo); err != nil {
		return err
	}
	chain := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(m, chain); err != nil {
		return err
	}
	track, err := webrtc.NewTrackLocalStaticRTP(h264.RTPCodecCapability, "video", "bare")
	if err != nil {
		return err
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(chain))
	go produceRTP(ctx, track)
	routes := http.NewServeMux()
	routes.HandleFunc("GET /debug/pprof/", pprof.Index)
	routes.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		answer, err := answer(api, track, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, answer)
	})
	fmt.Println(l.Addr())
	context.AfterFunc(ctx, func() { _ = l.Close() })
	_ = http.Serve(l, routes) //nolint:gosec // it serves the load alone, and ends with it
	return nil
}

// answer answers an offer with a peer connection that sends the track.
func answer(api *webrtc.API, track webrtc.TrackLocal, offer io.Reader) (string, error) {
	text, err := io.ReadAll(offer)
	if err != nil {
		return "", err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			_ = pc.Close()
		}
	})
	sender, err := pc.AddTrack(track)
	if err != nil {
		return "", err
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buf); err != nil {
				return
			}
		}
	}()
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(text)}); err != nil {
		return "", err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

// maxPayload is the maximum RTP payload in bytes, as in the relay.
const maxPayload = 1160

// produceRTP writes the stream that is also pushed to the relay to the track, in real time.
func produceRTP(ctx context.Context, track *webrtc.TrackLocalStaticRTP) {
	g := gen.New(sourceOptions("whep"))
	packetizer := rtp.NewPacketizer(maxPayload+12, 0, 0, &codecs.H264Payloader{}, rtp.NewRandomSequencer(), 90000)
	begun, last := time.Now(), time.Duration(0)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var config *packetbuf.Packet
	for p := g.Next(); ; p = g.Next() {
		for time.Since(begun) < p.DTS {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		switch {
		case p.Track != packetbuf.Video:
			continue
		case p.Kind == packetbuf.Config:
			config = p
			continue
		}
		packetizer.SkipSamples(uint32((p.DTS - last) * 90 / time.Millisecond)) //nolint:gosec // time between frames
		last = p.DTS
		for _, one := range packetizer.Packetize(annexB(p, config), 0) {
			_ = track.WriteRTP(one) // an error concerns one viewer that has disconnected
		}
	}
}

// annexB returns a frame with start codes. A keyframe follows its parameter sets.
func annexB(p, config *packetbuf.Packet) []byte {
	units := p.Payload
	if c, err := codec.ParseAVCConfig(config.Payload); err == nil && p.Kind == packetbuf.Key {
		units = append(c.AppendParameterSets(nil), units...)
	}
	var out []byte
	for len(units) > 0 {
		nal, rest, err := codec.NextNAL(units, 4)
		if err != nil {
			break
		}
		out = append(append(out, 0, 0, 0, 1), nal...)
		units = rest
	}
	return out
}
