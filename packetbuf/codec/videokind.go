package codec

import "github.com/holdfast-live/holdfast/packetbuf"

// VideoKind returns the Kind of a coded frame, determined from its payload. said is the Kind according to
// the container: Key, Delta or Disposable. If the payload cannot be read, VideoKind returns said. If the
// payload shows only that the frame is not a keyframe, VideoKind returns Disposable if said is Disposable,
// otherwise Delta. NAL units must have 4-byte lengths.
func VideoKind(c packetbuf.Codec, payload []byte, said packetbuf.Kind) packetbuf.Kind {
	key, known := false, false
	switch c {
	case packetbuf.H264:
		if kind, err := AVCKind(payload, 4, said == packetbuf.Key); err == nil {
			return kind
		}
	case packetbuf.HEVC:
		kind, _, err := HEVCKind(payload)
		if err == nil && kind != packetbuf.Delta {
			return kind
		}
		known = err == nil
	case packetbuf.AV1:
		key, known = av1Key(payload)
	case packetbuf.VP8:
		key, known = len(payload) > 0 && payload[0]&1 == 0, len(payload) > 0
	case packetbuf.VP9:
		_, key = ParseVP9Frame(payload)
		known = len(payload) > 0 && payload[0]>>6 == 2 // frame_marker
	}
	switch {
	case key:
		return packetbuf.Key
	case known && said == packetbuf.Key:
		return packetbuf.Delta
	}
	return said
}
