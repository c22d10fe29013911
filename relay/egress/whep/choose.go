package whep

import (
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// choose returns the best payload type in list for a codec. It prefers the stream's profile, but
// accepts any other, because browsers decode profiles that were not negotiated. ok is false if list
// has no payload type of the codec.
func choose(list []webrtc.RTPCodecParameters, c packetbuf.Codec, config *packetbuf.Packet) (best webrtc.RTPCodecParameters, ok bool) {
	score := -1
	for _, one := range list {
		if _, name, _ := strings.Cut(one.MimeType, "/"); !strings.EqualFold(name, sdpNames[c]) {
			continue
		}
		if s := fit(one, c, config); s > score {
			best, score, ok = one, s, true
		}
	}
	return best, ok
}

// fit returns a score for how well a payload type suits the stream. Higher is better.
func fit(one webrtc.RTPCodecParameters, c packetbuf.Codec, config *packetbuf.Packet) int {
	if config != nil && config.Codec != c {
		config = nil
	}
	if c == packetbuf.H264 {
		return fitH264(one.SDPFmtpLine, config)
	}
	if config == nil {
		return 0
	}
	own, name, unsaid := profileOf(config)
	if offered := parameter(one.SDPFmtpLine, name); offered == own || offered == "" && own == unsaid {
		return 1
	}
	return 0
}

// fitH264 returns the score for H.264 (RFC 6184, 8.1).
func fitH264(fmtp string, config *packetbuf.Packet) int {
	s := 0
	if parameter(fmtp, "packetization-mode") == "1" {
		s += 8 // frames of more than one packet are sent in fragments
	}
	profile, err := strconv.ParseUint(parameter(fmtp, "profile-level-id"), 16, 32)
	if err != nil || config == nil {
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

// profileOf returns the profile of a configuration and the name of the SDP parameter for it. unsaid
// is the profile that an offer without that parameter implies (RFC 7798, 7.1; RFC 9628, 6; RTP
// Payload Format For AV1, 7.2.1).
func profileOf(config *packetbuf.Packet) (profile, name, unsaid string) {
	switch config.Codec {
	case packetbuf.HEVC:
		if c, err := codec.ParseHEVCConfig(config.Payload); err == nil {
			return strconv.Itoa(c.Profile), "profile-id", "1"
		}
	case packetbuf.AV1:
		if c, err := codec.ParseAV1Config(config.Payload); err == nil {
			return strconv.Itoa(c.Profile), "profile", "0"
		}
	case packetbuf.VP9:
		const whole = 8 // as in FLV; some encoders prepend the version and flags of a box
		record := config.Payload[max(0, len(config.Payload)-whole):]
		if len(record) > 0 {
			return strconv.Itoa(int(record[0])), "profile-id", "0"
		}
	}
	return "", "", ""
}

// parameter returns the value of the parameter key in a format's fmtp line, or "" if it is missing.
func parameter(fmtp, name string) string {
	for one := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
