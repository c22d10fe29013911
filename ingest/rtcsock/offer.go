package rtcsock

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Limits of an offer. The time to process one is proportional to their
// product.
const (
	maxTracks     = 4
	maxFormats    = 128 // of one media section
	maxAttributes = 1000
)

// ReadOffer parses an offer. The error wraps ErrOffer.
func ReadOffer(text string) (*sdp.SessionDescription, error) {
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	if len(d.MediaDescriptions) == 0 || len(d.MediaDescriptions) > maxTracks {
		return nil, fmt.Errorf("%w: %d media", ErrOffer, len(d.MediaDescriptions))
	}
	attributes, candidates := len(d.Attributes), 0
	for _, m := range d.MediaDescriptions {
		if kind := m.MediaName.Media; kind != "audio" && kind != "video" {
			return nil, fmt.Errorf("%w: medium %.20q is not supported", ErrOffer, kind)
		}
		if len(m.MediaName.Formats) > maxFormats {
			return nil, fmt.Errorf("%w: medium with %d formats", ErrOffer, len(m.MediaName.Formats))
		}
		seen := map[string]bool{}
		for _, f := range m.MediaName.Formats {
			if seen[f] {
				return nil, fmt.Errorf("%w: duplicate format %.20q in a medium", ErrOffer, f)
			}
			seen[f] = true
		}
		attributes += len(m.Attributes)
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				candidates++
			}
		}
	}
	if attributes > maxAttributes || candidates > maxCandidates {
		return nil, fmt.Errorf("%w: %d attributes, %d of them candidates", ErrOffer, attributes, candidates)
	}
	return d, nil
}

// Direction returns the direction of a media section: sendrecv, sendonly, recvonly or inactive (RFC
// 8866, 6.7).
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

// PayloadTypes returns the payload types of a media section, in the order of the offer and exactly
// as offered, so that an answer can accept any profile and mode. It omits payload types without an
// rtpmap.
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
				c.ClockRate, c.Channels = uint32(parseNumber(rate)), uint16(parseNumber(channels)) //nolint:gosec // 17 bits, and a few
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

// parseNumber parses a decimal number of at most 17 bits. It returns 0 if s is not one.
func parseNumber(s string) int {
	n, err := strconv.ParseUint(s, 10, 17)
	if err != nil {
		return 0
	}
	return int(n) //nolint:gosec // 17 bits
}
