package whep

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// wish is what an offer is ready to receive.
type wish struct {
	video, audio []webrtc.RTPCodecParameters // payload types, in the order of the offer
}

// readOffer reads what a viewer is ready to receive.
func readOffer(text string) (wish, error) {
	d, err := rtcsock.ReadOffer(text)
	if err != nil {
		return wish{}, err
	}
	var w wish
	for _, m := range d.MediaDescriptions {
		if !receives(d, m) {
			continue
		}
		switch {
		case m.MediaName.Media == "video" && w.video == nil:
			w.video = rtcsock.PayloadTypes(m)
		case m.MediaName.Media == "audio" && w.audio == nil:
			w.audio = rtcsock.PayloadTypes(m)
		}
	}
	return w, nil
}

// receives tells whether media is offered to be received.
func receives(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	switch rtcsock.Direction(d, m) {
	case "recvonly", "sendrecv":
		return true
	}
	return false
}

// names are codecs as SDP has them.
var names = map[packetbuf.Codec]string{
	packetbuf.H264: "H264", packetbuf.HEVC: "H265", packetbuf.VP8: "VP8", packetbuf.VP9: "VP9", packetbuf.AV1: "AV1",
	packetbuf.Opus: "opus",
}

// media is what a peer needs to be sent these codecs. There is no interceptor: what they would
// do for each viewer's each packet is done for all viewers, or once a second.
func media(video, audio *webrtc.RTPCodecParameters) (*webrtc.MediaEngine, *interceptor.Registry, error) {
	m := &webrtc.MediaEngine{}
	if video != nil {
		video.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
		if err := m.RegisterCodec(*video, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", rtcsock.ErrOffer, err)
		}
	}
	if audio != nil {
		audio.RTCPFeedback = nil
		if err := m.RegisterCodec(*audio, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", rtcsock.ErrOffer, err)
		}
	}
	return m, &interceptor.Registry{}, nil
}
