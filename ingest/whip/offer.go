package whip

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtcsock"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// Bounds of what an offer may hold.
const (
	maxMedia  = 4
	maxLayers = 6
)

// offered is what an offer has to send.
type offered struct {
	video, audio packetbuf.Codec // NoCodec: none
	videos       []webrtc.RTPCodecParameters
	audios       []webrtc.RTPCodecParameters
	layers       int // of simulcast; 0: none
}

// preferred are the codecs of pictures that are taken, the one first that viewers of every
// protocol can see.
var preferred = []struct {
	name  string
	codec packetbuf.Codec
}{
	{"H264", packetbuf.H264}, {"VP8", packetbuf.VP8}, {"VP9", packetbuf.VP9}, {"AV1", packetbuf.AV1}, {"H265", packetbuf.HEVC},
}

// readOffer reads what an offer has to send, or refuses it.
func readOffer(text string) (*offered, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", rtcsock.ErrOffer, err)
	}
	if len(d.MediaDescriptions) > maxMedia {
		return nil, fmt.Errorf("%w: it has %d media", rtcsock.ErrOffer, len(d.MediaDescriptions))
	}
	o := &offered{}
	for _, m := range d.MediaDescriptions {
		kind := m.MediaName.Media
		if !sends(&d, m) || kind != "video" && kind != "audio" {
			continue
		}
		if kind == "video" && o.videos != nil || kind == "audio" && o.audios != nil {
			return nil, unsupported("more than one "+kind+" track is offered", "send one video and one audio track, or simulcast layers of one")
		}
		if kind == "video" {
			o.takeVideo(m)
		} else {
			o.takeAudio(m)
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

// sends tells whether media is offered to be sent.
func sends(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case "sendrecv", "sendonly":
				return true
			case "recvonly", "inactive":
				return false
			}
		}
	}
	return true
}

func (o *offered) takeVideo(m *sdp.MediaDescription) {
	o.videos = []webrtc.RTPCodecParameters{}
	maps := rtpmaps(m)
	for _, p := range preferred {
		if o.videos = maps.of(p.name, 90000); len(o.videos) > 0 {
			o.video = p.codec
			break
		}
	}
	if o.video == packetbuf.H264 {
		// Mode 1 has pictures in as many packets as they need; mode 0 keeps its place behind.
		slices.SortStableFunc(o.videos, func(a, b webrtc.RTPCodecParameters) int { return mode(b) - mode(a) })
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

func mode(c webrtc.RTPCodecParameters) int {
	if strings.Contains(c.SDPFmtpLine, "packetization-mode=1") {
		return 1
	}
	return 0
}

func (o *offered) takeAudio(m *sdp.MediaDescription) {
	o.audios = []webrtc.RTPCodecParameters{}
	if o.audios = rtpmaps(m).of("opus", 48000); len(o.audios) > 0 {
		o.audio = packetbuf.Opus
	}
	for i := range o.audios {
		o.audios[i].RTCPFeedback = []webrtc.RTCPFeedback{{Type: "transport-cc"}}
	}
}

// mapping are the payload types of one medium, in the order of the offer.
type mapping struct {
	kind  string
	types []payloadType
}

type payloadType struct {
	number         uint8
	name           string
	rate, channels int
	fmtp           string
}

func rtpmaps(m *sdp.MediaDescription) mapping {
	out := mapping{kind: m.MediaName.Media}
	for _, f := range m.MediaName.Formats {
		n, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		t := payloadType{number: uint8(n)}
		for _, a := range m.Attributes {
			number, value, _ := strings.Cut(a.Value, " ")
			switch {
			case number != f:
			case a.Key == "rtpmap":
				parts := strings.Split(value, "/")
				t.name = parts[0]
				if len(parts) > 1 {
					t.rate, _ = strconv.Atoi(parts[1])
				}
				if len(parts) > 2 {
					t.channels, _ = strconv.Atoi(parts[2])
				}
			case a.Key == "fmtp":
				t.fmtp = value
			}
		}
		out.types = append(out.types, t)
	}
	return out
}

// of are the payload types of a codec, as pion wants them: just as they were offered, so that
// whatever profile and mode an offer has is answered.
func (m mapping) of(name string, rate int) []webrtc.RTPCodecParameters {
	var out []webrtc.RTPCodecParameters
	for _, t := range m.types {
		if !strings.EqualFold(t.name, name) || t.rate != rate {
			continue
		}
		out = append(out, webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: m.kind + "/" + t.name, ClockRate: uint32(rate), Channels: uint16(t.channels), SDPFmtpLine: t.fmtp, //nolint:gosec // small
			},
			PayloadType: webrtc.PayloadType(t.number),
		})
	}
	return out
}

// The header extensions that are taken.
var extensions = map[webrtc.RTPCodecType][]string{
	webrtc.RTPCodecTypeVideo: {sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, sdp.TransportCCURI, sdp.ABSSendTimeURI},
	webrtc.RTPCodecTypeAudio: {sdp.SDESMidURI, sdp.TransportCCURI},
}

// media is what a peer needs to receive what is offered: reports, and feedback of arrival times
// from which a browser learns what its line carries. What is asked for again and when, the
// jitter buffer decides.
func (o *offered) media() (*webrtc.MediaEngine, *interceptor.Registry, error) {
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
