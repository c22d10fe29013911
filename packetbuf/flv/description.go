package flv

import "github.com/holdfast-live/holdfast/packetbuf"

// maxDescription bounds the size of a description in bytes. The largest one defined, colorInfo, has a
// few hundred.
const maxDescription = 4096

// Orders of channels (Enhanced RTMP v2, AudioChannelOrder).
const (
	orderUnspecified = 0
	orderNative      = 1 // a mask of 32 bits follows
	orderCustom      = 2 // a byte for each channel follows
)

// parseDescription returns the codec of track 0 and its additional description in a body. For video the
// description is colorInfo (Enhanced RTMP v2, VideoPacketType.Metadata), for audio the channel order
// (AudioPacketType.MultichannelConfig). It is nil if the body contains none.
func parseDescription(track packetbuf.Track, body []byte) (packetbuf.Codec, []byte, error) {
	if !isEnhanced(track, body) {
		return packetbuf.NoCodec, nil, nil
	}
	for b, err := range exParts(track, body) {
		if err != nil {
			return packetbuf.NoCodec, nil, err
		}
		if b.id != 0 || b.packetType != exMetadata {
			continue
		}
		codec := exCodecs[track][b.codec]
		if len(b.rest) > maxDescription {
			return codec, nil, malformed("description of %d bytes", len(b.rest))
		}
		if track == packetbuf.Audio {
			return codec, b.rest, checkChannels(b.rest)
		}
		_, _, err := readAMFName(b.rest)
		return codec, b.rest, err
	}
	return packetbuf.NoCodec, nil, nil
}

// isEnhanced reports whether a body has the Enhanced layout.
func isEnhanced(track packetbuf.Track, body []byte) bool {
	switch {
	case len(body) == 0:
		return false
	case track == packetbuf.Video:
		return body[0]&0x80 != 0
	}
	return track == packetbuf.Audio && body[0]>>4 == soundEnhanced
}

// checkChannels returns an error if the description of audio channels is invalid.
func checkChannels(b []byte) error {
	if len(b) < 2 {
		return malformed("order of channels cut short")
	}
	want := 2
	switch order, channels := b[0], int(b[1]); {
	case channels == 0:
		return malformed("no channels")
	case order == orderNative:
		want += 4
	case order == orderCustom:
		want += channels
	case order != orderUnspecified:
		return malformed("order of channels %d", order)
	}
	if len(b) < want {
		return malformed("order of channels cut short")
	}
	return nil
}
