package whep

import (
	"fmt"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// offeredCodecs holds the payload types that a viewer offers to receive.
type offeredCodecs struct {
	video, audio []webrtc.RTPCodecParameters // in the order of the offer
}

// readOffer returns the payload types that a viewer offers to receive. The error wraps
// rtcsock.ErrOffer.
func readOffer(text string) (offeredCodecs, error) {
	d, err := rtcsock.ReadOffer(text)
	if err != nil {
		return offeredCodecs{}, err
	}
	var w offeredCodecs
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

// receives reports whether the viewer offers to receive the media of a media section.
func receives(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	switch rtcsock.Direction(d, m) {
	case "recvonly", "sendrecv":
		return true
	}
	return false
}

// sdpNames are the codecs' names in SDP.
var sdpNames = map[packetbuf.Codec]string{
	packetbuf.H264: "H264", packetbuf.HEVC: "H265", packetbuf.VP8: "VP8", packetbuf.VP9: "VP9", packetbuf.AV1: "AV1",
	packetbuf.Opus: "opus",
}

// newEngine returns the media engine of a peer that is sent these codecs, and an empty registry. It
// uses no interceptors, which would work per packet and viewer. The relay does that work once for
// all viewers, or once a second.
func newEngine(video, audio *webrtc.RTPCodecParameters) (*webrtc.MediaEngine, *interceptor.Registry, error) {
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
