package whep

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// wish is what an offer is ready to receive.
type wish struct {
	video, audio []webrtc.RTPCodecParameters // payload types, in the order of the offer
}

const maxMedia = 4

// readOffer reads what a viewer is ready to receive.
func readOffer(text string) (wish, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return wish{}, fmt.Errorf("%w: %w", rtcsock.ErrOffer, err)
	}
	if len(d.MediaDescriptions) == 0 || len(d.MediaDescriptions) > maxMedia {
		return wish{}, fmt.Errorf("%w: it has %d media", rtcsock.ErrOffer, len(d.MediaDescriptions))
	}
	var w wish
	for _, m := range d.MediaDescriptions {
		if !receives(&d, m) {
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

// choose finds the payload type for a codec. Of those for H.264 the best is the one that has
// the stream's own profile; browsers decode others under any name. ok is false where the offer
// has none.
func choose(list []webrtc.RTPCodecParameters, c packetbuf.Codec, config *packetbuf.Packet) (best webrtc.RTPCodecParameters, ok bool) {
	score := -1
	for _, one := range list {
		if _, name, _ := strings.Cut(one.MimeType, "/"); !strings.EqualFold(name, names[c]) {
			continue
		}
		if s := fit(one, c, config); s > score {
			best, score, ok = one, s, true
		}
	}
	return best, ok
}

// fit is how well a payload type fits the stream.
func fit(one webrtc.RTPCodecParameters, c packetbuf.Codec, config *packetbuf.Packet) int {
	if c != packetbuf.H264 {
		return 0
	}
	s := 0
	if strings.Contains(one.SDPFmtpLine, "packetization-mode=1") {
		s += 8 // pictures of more than one packet are sent in fragments
	}
	_, level, _ := strings.Cut(one.SDPFmtpLine, "profile-level-id=")
	level, _, _ = strings.Cut(level, ";")
	profile, err := strconv.ParseUint(level, 16, 32)
	if err != nil || config == nil || config.Codec != packetbuf.H264 {
		return s
	}
	a, err := codec.ParseAVCConfig(config.Payload)
	const constrainedBaseline = 0x42e0
	switch got := profile >> 8; {
	case err != nil:
	case got == uint64(a.Profile)<<8|uint64(a.Compatibility):
		s += 4
	case got>>8 == uint64(a.Profile):
		s += 2
	case got == constrainedBaseline:
		s++
	}
	return s
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
