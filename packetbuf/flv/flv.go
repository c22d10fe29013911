// Package flv encodes packets as FLV and decodes them. It handles the bodies of tags, which are also
// the bodies of RTMP audio, video and data messages, as well as complete tags and files. It supports the
// legacy layout (Adobe Flash Video File Format Specification 10.1, annex E) and that of Enhanced RTMP v2
// (veovera/enhanced-rtmp).
//
// The package is pure: no goroutine, no clock, no I/O except through the caller's reader.
package flv

import (
	"errors"
	"fmt"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Tag types. RTMP message types have the same numbers.
const (
	TypeAudio byte = 8
	TypeVideo byte = 9
	TypeData  byte = 18
)

// MaxBody is the largest body size that a tag's 24-bit size can express.
const MaxBody = 1<<24 - 1

// ErrMalformed is wrapped by every error about bytes that violate the format.
var ErrMalformed = errors.New("malformed FLV")

// UnsupportedError is the error for a well-formed body with a codec that the relay does not support.
type UnsupportedError struct {
	Track packetbuf.Track
	Codec string // the common name if known, otherwise the number or FourCC
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s codec %s is not supported", e.Track, e.Codec)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrMalformed)
}

// TagType returns the tag type of a track.
func TagType(t packetbuf.Track) byte {
	switch t {
	case packetbuf.Video:
		return TypeVideo
	case packetbuf.Audio:
		return TypeAudio
	}
	return TypeData
}

// TrackOf returns the track of a tag type; ok is false for a type that FLV does not define.
func TrackOf(tagType byte) (t packetbuf.Track, ok bool) {
	switch tagType {
	case TypeVideo:
		return packetbuf.Video, true
	case TypeAudio:
		return packetbuf.Audio, true
	case TypeData:
		return packetbuf.Data, true
	}
	return 0, false
}

// Decode returns the packet in the body of a tag or message. The payload aliases body. The DTS is 0; the
// caller sets it from the timestamp. The error is an *UnsupportedError or wraps ErrMalformed.
//
// Decode returns nil without an error if the body contains nothing to pass on. That is the case for an
// empty body, the end of a sequence, a seek or command frame, padding, and an Enhanced description of
// colours or channels, which Intake reads. Of a multitrack body Decode returns track 0 only.
//
// The Kind of an audio frame is always Delta, since whether it is a random-access point depends on the
// other tracks of the stream.
func Decode(track packetbuf.Track, body []byte) (*packetbuf.Packet, error) {
	if len(body) == 0 {
		return nil, nil
	}
	switch track {
	case packetbuf.Video:
		return decodeVideo(body)
	case packetbuf.Audio:
		return decodeAudio(body)
	case packetbuf.Data:
		return decodeData(body)
	}
	return nil, malformed("track %d", track)
}
