package whep

import (
	"encoding/binary"
	"slices"

	"github.com/pion/rtp/codecs"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// maxPayload is the maximum size of an RTP payload. With the headers of RTP, SRTP, UDP and IPv6, a
// packet stays below 1,280 bytes, which every IPv6 path carries.
const maxPayload = 1160

// payloader returns a function that packetizes packets while config is the configuration in force.
// That function returns the RTP payloads of a packet one after another, each preceded by its length
// in two bytes. The bytes are the same for all viewers, and empty for a packet that is not sent.
// One function is used for all packets of a configuration, so that looking up serialized bytes does
// not allocate.
func payloader(config *packetbuf.Packet) func(*packetbuf.Packet) []byte {
	return func(p *packetbuf.Packet) []byte {
		switch p.Codec {
		case packetbuf.H264, packetbuf.HEVC:
			return nalPayloads(p, config)
		case packetbuf.AV1:
			return av1Payloads(p, config)
		}
		return framePayloads(p)
	}
}

// nextPayload returns the first payload and the remaining ones.
func nextPayload(all []byte) (payload, rest []byte) {
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

// lengthSize returns the number of bytes of the length before each NAL unit.
func lengthSize(c packetbuf.Codec, config *packetbuf.Packet) int {
	if config == nil || config.Codec != c {
		return 4
	}
	if c == packetbuf.HEVC {
		if record, err := codec.ParseHEVCConfig(config.Payload); err == nil {
			return record.LengthSize
		}
	} else if record, err := codec.ParseAVCConfig(config.Payload); err == nil {
		return record.LengthSize
	}
	return 4
}

// nalPayloads packetizes an access unit of H.264 (RFC 6184) or HEVC (RFC 7798). It drops H.264
// B-frames, which would have to wait for later frames, because browsers present frames in the order
// of arrival. It puts parameter sets before keyframes, because decoders need them in band.
func nalPayloads(p, config *packetbuf.Packet) []byte {
	au := p.Payload
	if size := lengthSize(p.Codec, config); size != 4 {
		au = withLongLengths(au, size)
	}
	if p.Codec == packetbuf.H264 && p.Kind != packetbuf.Key && codec.AVCHasB(au) {
		return nil
	}
	var sets []byte
	if p.Kind == packetbuf.Key && config != nil && config.Codec == p.Codec {
		sets = parameterSets(p.Codec, au, config)
	}
	out := aggregator{codec: p.Codec, out: make([]byte, 0, len(au)+len(au)/64+len(sets)+64)}
	for _, rest := range [][]byte{sets, au} {
		for len(rest) > 0 {
			nal, more, err := codec.NextNAL(rest, 4)
			if err != nil {
				break
			}
			if rest = more; sendable(p.Codec, nal) {
				out.add(nal)
			}
		}
	}
	return out.payloads()
}

// withLongLengths returns an access unit with lengths of 4 bytes instead of size bytes. It stops at
// the first malformed unit.
func withLongLengths(au []byte, size int) []byte {
	var out []byte
	for len(au) > 0 {
		nal, rest, err := codec.NextNAL(au, size)
		if err != nil {
			break
		}
		au, out = rest, codec.AppendNAL(out, nal)
	}
	return out
}

// sendable reports whether a NAL unit can be sent. It cannot if RTP uses its type for other
// purposes, if browsers do not need it (delimiters and filler), or if forbidden_zero_bit marks it
// as damaged.
func sendable(c packetbuf.Codec, nal []byte) bool {
	if len(nal) > 0 && nal[0]&0x80 != 0 {
		return false
	}
	if c == packetbuf.HEVC {
		const delimiter, filler, aggregation = 35, 38, 48
		if len(nal) <= 2 {
			return false
		}
		t := nal[0] >> 1 & 0x3f
		return t != delimiter && t != filler && t < aggregation
	}
	const aggregation = 24
	t := codec.NALType(nal)
	return len(nal) > 1 && t > 0 && t < aggregation && t != codec.NALDelimiter && t != codec.NALFiller
}

// parameterSets returns the parameter sets of the configuration. It returns nil if the access unit
// contains its own.
func parameterSets(c packetbuf.Codec, au []byte, config *packetbuf.Packet) []byte {
	if c == packetbuf.HEVC {
		if _, own, err := codec.HEVCKind(au); err == nil && len(own[1]) > 0 && len(own[2]) > 0 {
			return nil
		}
		sets, err := codec.HEVCParameterSets(config.Payload)
		if err != nil {
			return nil
		}
		return sets
	}
	if codec.AVCHas(au, 4, codec.NALSPS) && codec.AVCHas(au, 4, codec.NALPPS) {
		return nil
	}
	record, err := codec.ParseAVCConfig(config.Payload)
	if err != nil {
		return nil
	}
	return record.AppendParameterSets(nil)
}

// appendUnit appends the payloads of one NAL unit. That is the unit itself or, if it is too long,
// fragments of equal size, so that one system call can send all of them.
func appendUnit(dst []byte, c packetbuf.Codec, nal []byte) []byte {
	if len(nal) <= maxPayload {
		return appendPayload(dst, nal)
	}
	header := 1
	if c == packetbuf.HEVC {
		header = 2
	}
	body := nal[header:]
	const most = maxPayload - 3 // excluding the header of a fragment
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

// framePayloads packetizes frames of codecs without NAL units: VP8 (RFC 7741), VP9 (RFC 9628) and
// Opus (RFC 7587). VP8 and VP9 are sent without picture IDs, because the sequence numbers suffice.
func framePayloads(p *packetbuf.Packet) []byte {
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
	case packetbuf.Opus:
		if len(p.Payload) == 0 || len(p.Payload) > maxPayload {
			return nil
		}
		return appendPayload(nil, p.Payload)
	}
	return nil
}

// av1Payloads packetizes AV1 (RTP Payload Format For AV1, 1.0). It puts the sequence header before
// keyframes, because decoders need it in band. The configuration contains it after the first four
// bytes.
func av1Payloads(p, config *packetbuf.Packet) []byte {
	unit := p.Payload
	if p.Kind == packetbuf.Key && config != nil && config.Codec == packetbuf.AV1 && len(config.Payload) > 4 {
		if header, _, err := codec.AV1SequenceHeader(unit); err == nil && header == nil {
			unit = slices.Concat(config.Payload[4:], unit)
		}
	}
	payloads := (&codecs.AV1Payloader{}).Payload(maxPayload, unit)
	if len(payloads) > maxSparse+2*len(unit)/maxPayload {
		return nil
	}
	var out []byte
	for _, b := range payloads {
		out = appendPayload(out, b)
	}
	return out
}

// maxSparse is how many packets a temporal unit may need in addition to twice the number that its
// size requires. The payloader begins a new packet at each sequence header and each change of
// layer. Encoders write few of these. A hostile publisher could write thousands, and each would
// cost a packet per viewer.
const maxSparse = 64

// fragments splits a frame into payloads of equal size, each with a descriptor of one byte.
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
