package whip

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// maxLayers is the maximum number of simulcast layers that are accepted.
const maxLayers = 6

// offeredMedia is the media that a publisher offers to send.
type offeredMedia struct {
	video, audio packetbuf.Codec // NoCodec for none
	videos       []webrtc.RTPCodecParameters
	audios       []webrtc.RTPCodecParameters
	layers       int    // number of simulcast layers; 0 without simulcast
	config       []byte // H.264 configuration, if the offer has parameter sets; else nil
}

// supportedVideo lists the supported video codecs in order of preference. The first is the one that
// viewers over every protocol can play.
var supportedVideo = []struct {
	name  string
	codec packetbuf.Codec
}{
	{"H264", packetbuf.H264}, {"VP8", packetbuf.VP8}, {"VP9", packetbuf.VP9}, {"AV1", packetbuf.AV1}, {"H265", packetbuf.HEVC},
}

// readOffer returns the media that the publisher offers to send. The error is a *ingest.Refusal or
// wraps rtcsock.ErrOffer.
func readOffer(text string) (*offeredMedia, error) {
	d, err := rtcsock.ReadOffer(text)
	if err != nil {
		return nil, err
	}
	o := &offeredMedia{}
	for _, m := range d.MediaDescriptions {
		kind := m.MediaName.Media
		if !offersToSend(d, m) || kind != "video" && kind != "audio" {
			continue
		}
		if kind == "video" && o.videos != nil || kind == "audio" && o.audios != nil {
			return nil, unsupported("more than one "+kind+" track is offered", "send one video and one audio track, or simulcast layers of one")
		}
		if kind == "video" {
			o.readVideo(m)
		} else {
			o.readAudio(m)
		}
	}
	switch {
	case o.layers > maxLayers:
		return nil, unsupported(fmt.Sprintf("%d simulcast layers are offered", o.layers), fmt.Sprintf("send at most %d", maxLayers))
	case o.videos != nil && o.video == packetbuf.NoCodec:
		return nil, unsupported("none of the video codecs that are offered is supported", "offer H.264, VP8, VP9, AV1 or H.265")
	case o.audios != nil && o.audio == packetbuf.NoCodec:
		return nil, unsupported("none of the audio codecs that are offered is supported", "offer Opus")
	case o.video == packetbuf.NoCodec && o.audio == packetbuf.NoCodec:
		return nil, unsupported("the offer sends nothing", "offer a video or an audio track that is sendonly or sendrecv")
	}
	return o, nil
}

func unsupported(reason, hint string) error {
	return &ingest.Refusal{Outcome: ingest.RefusedCodec, Reason: reason, Hint: hint}
}

// offersToSend reports whether the peer offers to send the media of a media section.
func offersToSend(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	switch rtcsock.Direction(d, m) {
	case "sendonly", "sendrecv":
		return true
	}
	return false
}

func (o *offeredMedia) readVideo(m *sdp.MediaDescription) {
	o.videos = []webrtc.RTPCodecParameters{}
	all := rtcsock.PayloadTypes(m)
	for _, p := range supportedVideo {
		if o.videos = payloadTypesOf(all, p.name, 90000); len(o.videos) > 0 {
			o.video = p.codec
			break
		}
	}
	if o.video == packetbuf.H264 {
		// Mode 1 allows several packets per frame; mode 0 remains as a fallback.
		slices.SortStableFunc(o.videos, func(a, b webrtc.RTPCodecParameters) int { return packetizationMode(b) - packetizationMode(a) })
		o.config = configFromFmtp(o.videos[0].SDPFmtpLine)
	}
	for i := range o.videos {
		o.videos[i].RTCPFeedback = []webrtc.RTCPFeedback{
			{Type: "goog-remb"}, {Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"},
		}
	}
	if s, ok := m.Attribute("simulcast"); ok {
		if _, list, ok := strings.Cut(s, "send "); ok {
			list, _, _ = strings.Cut(list, " ")
			o.layers = len(strings.Split(list, ";"))
		}
	}
}

// configFromFmtp returns the H.264 configuration in sprop-parameter-sets (RFC 6184, 8.1), because
// some senders do not repeat these sets in band. It returns nil if there are none or they are
// invalid.
func configFromFmtp(fmtp string) []byte {
	_, list, _ := strings.Cut(fmtp, "sprop-parameter-sets=")
	list, _, _ = strings.Cut(list, ";")
	var sps, pps [][]byte
	for text := range strings.SplitSeq(list, ",") {
		nal, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil
		}
		switch codec.NALType(nal) {
		case codec.NALSPS:
			sps = append(sps, nal)
		case codec.NALPPS:
			pps = append(pps, nal)
		}
	}
	c, err := codec.NewAVCConfig(sps, pps)
	if err != nil || len(pps) == 0 {
		return nil
	}
	return c.Append(nil)
}

func packetizationMode(c webrtc.RTPCodecParameters) int {
	if strings.Contains(c.SDPFmtpLine, "packetization-mode=1") {
		return 1
	}
	return 0
}

func (o *offeredMedia) readAudio(m *sdp.MediaDescription) {
	o.audios = []webrtc.RTPCodecParameters{}
	if o.audios = payloadTypesOf(rtcsock.PayloadTypes(m), "opus", 48000); len(o.audios) > 0 {
		o.audio = packetbuf.Opus
	}
	for i := range o.audios {
		o.audios[i].RTCPFeedback = []webrtc.RTCPFeedback{{Type: "transport-cc"}}
	}
}

// payloadTypesOf returns the payload types of a codec. The result is never nil.
func payloadTypesOf(all []webrtc.RTPCodecParameters, name string, rate uint32) []webrtc.RTPCodecParameters {
	out := []webrtc.RTPCodecParameters{}
	for _, c := range all {
		if _, called, _ := strings.Cut(c.MimeType, "/"); strings.EqualFold(called, name) && c.ClockRate == rate {
			out = append(out, c)
		}
	}
	return out
}

// extensions are the header extensions that are accepted.
var extensions = map[webrtc.RTPCodecType][]string{
	webrtc.RTPCodecTypeVideo: {sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, sdp.TransportCCURI, sdp.ABSSendTimeURI},
	webrtc.RTPCodecTypeAudio: {sdp.SDESMidURI, sdp.TransportCCURI},
}

// engine returns the codecs and interceptors of a peer that receives the offered media. The
// interceptors send receiver reports and transport-wide feedback about arrival times, with which a
// browser measures its connection. They request no retransmissions, because the jitter buffer
// decides about these.
func (o *offeredMedia) engine() (*webrtc.MediaEngine, *interceptor.Registry, error) {
	m, chain := &webrtc.MediaEngine{}, &interceptor.Registry{}
	kinds := map[webrtc.RTPCodecType][]webrtc.RTPCodecParameters{webrtc.RTPCodecTypeVideo: o.videos, webrtc.RTPCodecTypeAudio: o.audios}
	for kind, list := range kinds {
		for _, c := range list {
			if err := m.RegisterCodec(c, kind); err != nil {
				return nil, nil, fmt.Errorf("%w: %w", rtcsock.ErrOffer, err)
			}
		}
		for _, uri := range extensions[kind] {
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, nil, fmt.Errorf("header extension: %w", err)
			}
		}
	}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, nil, fmt.Errorf("receiver reports: %w", err)
	}
	arrivals, err := twcc.NewSenderInterceptor()
	if err != nil {
		return nil, nil, fmt.Errorf("arrival feedback: %w", err)
	}
	chain.Add(reports)
	chain.Add(arrivals)
	return m, chain, nil
}
