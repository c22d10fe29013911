package whep

import (
	"encoding/binary"

	"github.com/pion/rtp/codecs"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// maxPayload is the longest payload of an RTP packet: with RTP, SRTP, UDP and IPv6 it stays
// below 1,280 bytes, which every path carries.
const maxPayload = 1160

// payloads returns the payloads of the RTP packets that p is sent in: each behind its length
// in two bytes, one after another, and the same bytes for all viewers. None for what is not
// sent. config is the track's configuration in force.
func payloads(p, config *packetbuf.Packet) []byte {
	if p.Codec != packetbuf.H264 && p.Codec != packetbuf.HEVC {
		return p.Serialized(packetbuf.RTPPayloads, plain)
	}
	if p.Kind != packetbuf.Key && lengthSize(config) == 4 {
		return p.Serialized(packetbuf.RTPPayloads, delta)
	}
	return p.Serialized(packetbuf.RTPPayloads, func(p *packetbuf.Packet) []byte { return units(p, config) })
}

// next takes the first payload off.
func next(all []byte) (payload, rest []byte) {
	n := int(binary.BigEndian.Uint16(all))
	return all[2 : 2+n], all[2+n:]
}

func appendPayload(dst []byte, parts ...[]byte) []byte {
	n := 0
	for _, b := range parts {
		n += len(b)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(n)) //nolint:gosec // at most maxPayload
	for _, b := range parts {
		dst = append(dst, b...)
	}
	return dst
}

func lengthSize(config *packetbuf.Packet) int {
	if config == nil || config.Codec != packetbuf.H264 {
		return 4
	}
	c, err := codec.ParseAVCConfig(config.Payload)
	if err != nil {
		return 4
	}
	return c.LengthSize
}

func delta(p *packetbuf.Packet) []byte { return units(p, nil) }

// units sends an access unit of H.264 (RFC 6184) or HEVC (RFC 7798). A browser shows pictures as
// they come: one that would have to wait for a later one, a B picture, is left out. A decoder
// that begins needs the parameter sets in band.
func units(p, config *packetbuf.Packet) []byte {
	size := lengthSize(config)
	if p.Codec == packetbuf.H264 && p.Kind != packetbuf.Key && size == 4 && codec.AVCHasB(p.Payload) {
		return nil
	}
	var small []byte // parameter sets, which go together
	if p.Kind == packetbuf.Key && config != nil {
		small = parameterSets(p, config)
	}
	out := make([]byte, 0, len(p.Payload)+len(p.Payload)/64+len(small)+64)
	for rest := small; len(rest) > 0; {
		var nal []byte
		nal, rest, _ = codec.NextNAL(rest, 4)
		out = appendUnit(out, p.Codec, nal)
	}
	for rest := p.Payload; len(rest) > 0; {
		nal, more, err := codec.NextNAL(rest, size)
		if err != nil {
			break
		}
		if rest = more; sent(p.Codec, nal) {
			out = appendUnit(out, p.Codec, nal)
		}
	}
	return out
}

// sent tells whether a NAL unit is of use to a browser: no delimiters, no filler.
func sent(c packetbuf.Codec, nal []byte) bool {
	if c == packetbuf.HEVC {
		const delimiter, filler = 35, 38
		return len(nal) > 2 && nal[0]>>1&0x3f != delimiter && nal[0]>>1&0x3f != filler
	}
	t := codec.NALType(nal)
	return len(nal) > 1 && t != codec.NALDelimiter && t != codec.NALFiller && t < codec.NALFiller+12
}

// parameterSets are those of the configuration, with 4-byte lengths, unless p has its own.
func parameterSets(p, config *packetbuf.Packet) []byte {
	if p.Codec == packetbuf.HEVC {
		if _, sets, err := codec.HEVCKind(p.Payload); err == nil && len(sets[1]) > 0 {
			return nil
		}
		sets, err := codec.HEVCParameterSets(config.Payload)
		if err != nil {
			return nil
		}
		return sets
	}
	c, err := codec.ParseAVCConfig(config.Payload)
	if err != nil || codec.AVCHas(p.Payload, c.LengthSize, codec.NALSPS) {
		return nil
	}
	return c.AppendParameterSets(nil)
}

// appendUnit appends the payloads of one NAL unit: itself, or fragments of equal size, so that
// they can be handed to the kernel in one piece.
func appendUnit(dst []byte, c packetbuf.Codec, nal []byte) []byte {
	if len(nal) <= maxPayload {
		return appendPayload(dst, nal)
	}
	header := 1
	if c == packetbuf.HEVC {
		header = 2
	}
	body := nal[header:]
	const most = maxPayload - 3 // less a fragment's header
	n := (len(body) + most - 1) / most
	size := (len(body) + n - 1) / n
	for i := 0; len(body) > 0; i++ {
		part := body[:min(size, len(body))]
		body = body[len(part):]
		mark := byte(0)
		if i == 0 {
			mark = 0x80
		}
		if len(body) == 0 {
			mark |= 0x40
		}
		if c == packetbuf.HEVC {
			dst = appendPayload(dst, []byte{nal[0]&0x81 | 49<<1, nal[1], mark | nal[0]>>1&0x3f}, part)
		} else {
			dst = appendPayload(dst, []byte{nal[0]&0xe0 | 28, mark | nal[0]&0x1f}, part)
		}
	}
	return dst
}

// plain sends frames that have no units: VP8 (RFC 7741), VP9 (RFC 9628), AV1 and Opus (RFC 7587).
// VP8 and VP9 go without picture numbers: the sequence numbers tell a receiver all that it needs.
func plain(p *packetbuf.Packet) []byte {
	switch p.Codec {
	case packetbuf.VP8:
		return fragments(p.Payload, func(first, _ bool) byte {
			if first {
				return 0x10
			}
			return 0
		})
	case packetbuf.VP9:
		predicted := byte(0x40)
		if p.Kind == packetbuf.Key {
			predicted = 0
		}
		return fragments(p.Payload, func(first, last bool) byte {
			d := predicted
			if first {
				d |= 0x08
			}
			if last {
				d |= 0x04
			}
			return d
		})
	case packetbuf.AV1:
		var out []byte
		for _, b := range (&codecs.AV1Payloader{}).Payload(maxPayload, p.Payload) {
			out = appendPayload(out, b)
		}
		return out
	case packetbuf.Opus:
		if len(p.Payload) > maxPayload {
			return nil
		}
		return appendPayload(nil, p.Payload)
	}
	return nil
}

// fragments cuts a frame into payloads of equal size with a descriptor of one byte each.
func fragments(frame []byte, descriptor func(first, last bool) byte) []byte {
	const most = maxPayload - 1
	n := (len(frame) + most - 1) / most
	if n == 0 {
		return nil
	}
	size := (len(frame) + n - 1) / n
	out := make([]byte, 0, len(frame)+3*n)
	for first := true; len(frame) > 0; first = false {
		part := frame[:min(size, len(frame))]
		frame = frame[len(part):]
		out = appendPayload(out, []byte{descriptor(first, len(frame) == 0)}, part)
	}
	return out
}
