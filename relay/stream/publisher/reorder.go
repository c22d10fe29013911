package publisher

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// ReorderFrames returns the reorder depth, in frames, that a video configuration declares, and
// whether it declares one. cfg may be nil.
func ReorderFrames(cfg *packetbuf.Packet) (frames int, known bool) {
	if cfg == nil || cfg.Codec != packetbuf.H264 {
		return 0, false
	}
	c, err := codec.ParseAVCConfig(cfg.Payload)
	if err != nil || len(c.SPS) == 0 {
		return 0, false
	}
	sps, err := codec.ParseSPS(c.SPS[0])
	if err != nil || sps.NumReorder < 0 {
		return 0, false
	}
	return sps.NumReorder, true
}
