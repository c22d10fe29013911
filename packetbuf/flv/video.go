package flv

import (
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Frame types, the high nibble of a video body; three bits of it in the Enhanced layout.
const (
	frameKey          = 1
	frameInter        = 2
	frameDisposable   = 3
	frameGeneratedKey = 4
	frameCommand      = 5
)

// Codec ids, the low nibble of a legacy video body. Adobe never defined 12, but encoders sent it
// for HEVC before Enhanced RTMP.
const (
	codecAVC  = 7
	codecHEVC = 12
)

// Packet types of legacy AVC bodies.
const (
	avcConfig = 0
	avcNALUs  = 1
	avcEnd    = 2
)

var legacyVideoNames = map[byte]string{
	1: "JPEG", 2: "Sorenson H.263", 3: "Screen video", 4: "VP6", 5: "VP6 with alpha",
	6: "Screen video v2", 8: "H.263", 9: "MPEG-4 part 2", 13: "AV1 (legacy id)", 14: "VVC (legacy id)",
}

func decodeVideo(body []byte) (*packetbuf.Packet, error) {
	if body[0]&0x80 != 0 {
		return decodeEx(packetbuf.Video, body)
	}
	frame, id := body[0]>>4, body[0]&0x0f
	if frame == frameCommand {
		return nil, nil
	}
	p := &packetbuf.Packet{Track: packetbuf.Video}
	switch id {
	case codecAVC:
		p.Codec = packetbuf.H264
	case codecHEVC:
		p.Codec = packetbuf.HEVC
	default:
		return nil, unsupportedVideo(id)
	}
	if len(body) < 5 {
		// Some encoders omit the composition time from the end of a sequence.
		if len(body) >= 2 && body[1] == avcEnd {
			return nil, nil
		}
		return nil, malformed("%s body of %d bytes", p.Codec, len(body))
	}
	p.Payload = body[5:]
	switch body[1] {
	case avcConfig:
		p.Kind = packetbuf.Config
	case avcNALUs:
		p.CTO = compositionTime(body[2:5])
		p.Kind = videoKind(p.Codec, frame, p.Payload)
	case avcEnd:
		return nil, nil
	default:
		return nil, malformed("%s packet type %d", p.Codec, body[1])
	}
	return unlessEmpty(p), nil
}

func unsupportedVideo(id byte) error {
	name, ok := legacyVideoNames[id]
	if !ok {
		name = "id " + strconv.Itoa(int(id))
	}
	return &UnsupportedError{Track: packetbuf.Video, Codec: name}
}

// unlessEmpty returns p, or nil if p has no payload.
func unlessEmpty(p *packetbuf.Packet) *packetbuf.Packet {
	if len(p.Payload) == 0 {
		return nil
	}
	return p
}

// compositionTime reads a signed 24-bit number of milliseconds.
func compositionTime(b []byte) time.Duration {
	v := int32(b[0])<<24 | int32(b[1])<<16 | int32(b[2])<<8
	return time.Duration(v>>8) * time.Millisecond
}

// videoKind returns the Kind of a coded frame. It determines the Kind from the payload if possible,
// otherwise from the frame type in the header.
func videoKind(c packetbuf.Codec, frame byte, payload []byte) packetbuf.Kind {
	return codec.VideoKind(c, payload, frameKind(frame))
}

// frameKind returns the Kind that corresponds to a frame type.
func frameKind(frame byte) packetbuf.Kind {
	switch frame {
	case frameKey, frameGeneratedKey:
		return packetbuf.Key
	case frameDisposable:
		return packetbuf.Disposable
	}
	return packetbuf.Delta
}

// headerKind returns the Kind that the first byte of a video body gives for the frame.
func headerKind(first byte) packetbuf.Kind {
	if first&0x80 != 0 {
		return frameKind(first >> 4 & 7)
	}
	return frameKind(first >> 4)
}
