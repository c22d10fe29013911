package rtcsock

import (
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Direction is the direction of a medium: sendrecv, sendonly, recvonly or inactive (RFC 8866,
// 6.7).
func Direction(d *sdp.SessionDescription, m *sdp.MediaDescription) string {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case "sendrecv", "sendonly", "recvonly", "inactive":
				return a.Key
			}
		}
	}
	return "sendrecv"
}

// PayloadTypes are the payload types of a medium in the order of the offer, just as they were
// offered, so that whatever profile and mode an offer has can be answered. Those without a name
// are left out.
func PayloadTypes(m *sdp.MediaDescription) []webrtc.RTPCodecParameters {
	out := make([]webrtc.RTPCodecParameters, 0, len(m.MediaName.Formats))
	for _, format := range m.MediaName.Formats {
		numbered, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		c := webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(numbered)}
		for _, a := range m.Attributes {
			of, value, _ := strings.Cut(a.Value, " ")
			switch {
			case of != format:
			case a.Key == "rtpmap":
				name, numbers, _ := strings.Cut(value, "/")
				rate, channels, _ := strings.Cut(numbers, "/")
				c.MimeType = m.MediaName.Media + "/" + name
				c.ClockRate, c.Channels = uint32(number(rate)), uint16(number(channels)) //nolint:gosec // 17 bits, and a few
			case a.Key == "fmtp":
				c.SDPFmtpLine = value
			}
		}
		if c.MimeType != "" {
			out = append(out, c)
		}
	}
	return out
}

// number is a small number; 0 for what is none.
func number(s string) int {
	n, err := strconv.ParseUint(s, 10, 17)
	if err != nil {
		return 0
	}
	return int(n) //nolint:gosec // 17 bits
}
