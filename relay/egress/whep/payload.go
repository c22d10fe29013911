package whep

import (
	"encoding/binary"
	"slices"

	"github.com/pion/rtp/codecs"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// maxPayload is the longest payload of an RTP packet: with RTP, SRTP, UDP and IPv6 it stays
// below 1,280 bytes, which every path carries.
const maxPayload = 1160

// packing returns what makes the payloads of the RTP packets that a packet is sent in, while
// config is the track's configuration in force: each payload behind its length in two bytes, one
// after another, and the same bytes for all viewers. None for what is not sent. It is made once
// a configuration, so that a packet costs nothing but the look for bytes that are there.
func packing(config *packetbuf.Packet) func(*packetbuf.Packet) []byte {
	return func(p *packetbuf.Packet) []byte {
		switch p.Codec {
		case packetbuf.H264, packetbuf.HEVC:
			return units(p, config)
		case packetbuf.AV1:
			return temporalUnit(p, config)
		}
		return plain(p)
	}
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

// lengthSize is how many bytes the length of a NAL unit has.
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

// units sends an access unit of H.264 (RFC 6184) or HEVC (RFC 7798). A browser shows pictures as
// they come: one that would have to wait for a later one, a B picture, is left out. A decoder
// that begins needs the parameter sets in band.
func units(p, config *packetbuf.Packet) []byte {
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
			if rest = more; sent(p.Codec, nal) {
				out.add(nal)
			}
		}
	}
	return out.payloads()
}

// withLongLengths is an access unit with lengths of 4 bytes, up to where it can be read.
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

// sent tells whether a NAL unit is of use to a browser, and has a type that is no packet's of
// RTP: no delimiters, no filler, and none whose forbidden_zero_bit says that it is damaged.
func sent(c packetbuf.Codec, nal []byte) bool {
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

// parameterSets are those of the configuration, unless the access unit has its own.
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

// plain sends frames that have no units: VP8 (RFC 7741), VP9 (RFC 9628) and Opus (RFC 7587).
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
	case packetbuf.Opus:
		if len(p.Payload) == 0 || len(p.Payload) > maxPayload {
			return nil
		}
		return appendPayload(nil, p.Payload)
	}
	return nil
}

// temporalUnit sends AV1 (RTP Payload Format For AV1, 1.0). A decoder that begins needs the
// sequence header in band; a configuration has it behind four bytes.
func temporalUnit(p, config *packetbuf.Packet) []byte {
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

// maxSparse is how many packets a temporal unit may take beyond twice as many as its bytes need. The
// payloader begins a packet with each sequence header and each change of layer: an encoder writes few,
// and a hostile publisher thousands, for which each viewer would pay.
const maxSparse = 64

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
