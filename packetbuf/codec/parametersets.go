package codec

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// WithParameterSets returns a copy of the keyframe key with the SPS and PPS of the configuration cfg
// prepended to its payload. Some decoders need them in band to replace earlier ones. It returns key itself
// if the keyframe is not H.264 with 4-byte lengths or already contains an SPS, or if cfg is nil or
// malformed.
func WithParameterSets(key, cfg *packetbuf.Packet) *packetbuf.Packet {
	if key.Codec != packetbuf.H264 || cfg == nil {
		return key
	}
	c, err := ParseAVCConfig(cfg.Payload)
	if err != nil || c.LengthSize != 4 || AVCHas(key.Payload, c.LengthSize, NALSPS) {
		return key
	}
	var au []byte
	for _, nal := range c.SPS {
		au = AppendNAL(au, nal)
	}
	for _, nal := range c.PPS {
		au = AppendNAL(au, nal)
	}
	return key.WithPayload(append(au, key.Payload...))
}
