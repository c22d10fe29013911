package whip

import (
	"bytes"
	"errors"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/holdfast-live/holdfast/ingest/whip/jitter"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// maxPendingSets bounds the parameter sets, in bytes, that are kept for the next frame.
const maxPendingSets = 64 << 10

// maxAccessUnit bounds one access unit, in bytes. Each of its packets counts with its payload and
// packetOverhead, which is about what it costs in memory.
const (
	maxAccessUnit  = 8 << 20
	packetOverhead = 128
)

// depacketizer extracts the media from the payloads of consecutive RTP packets.
type depacketizer interface {
	Unmarshal(payload []byte) ([]byte, error)
}

// format describes how a codec is carried in RTP packets.
type format struct {
	codec packetbuf.Codec
	// newDepacketizer returns a new depacketizer.
	newDepacketizer func() depacketizer
	// startAt returns whether a decoder can start at the packet with this payload.
	startAt func(payload []byte) jitter.Start
	// hasSlice reports whether an access unit contains a coded frame. Some senders send parameter
	// sets as access units of their own. hasSlice is nil for codecs whose access units all contain
	// a frame.
	hasSlice func(unit []byte) bool
	// convert converts an access unit to the format of packets. It also returns its Kind and, if a
	// decoder can start at it, the configuration that it contains. If out is empty, unit is not a
	// valid access unit and is dropped.
	convert func(unit []byte) (out []byte, kind packetbuf.Kind, config []byte)
}

var formats = map[packetbuf.Codec]format{
	packetbuf.H264: {packetbuf.H264, func() depacketizer { return &codecs.H264Packet{IsAVC: true} }, startsH264, codec.AVCHasSlice, finishH264},
	packetbuf.HEVC: {packetbuf.HEVC, func() depacketizer { return &codecs.H265Depacketizer{} }, startsHEVC, hasSliceHEVC, finishHEVC},
	packetbuf.VP8:  {packetbuf.VP8, func() depacketizer { return &codecs.VP8Packet{} }, startsVP8, nil, finishVP8},
	packetbuf.VP9:  {packetbuf.VP9, func() depacketizer { return &codecs.VP9Packet{} }, startsVP9, nil, finishVP9},
	packetbuf.AV1:  {packetbuf.AV1, func() depacketizer { return &av1Depacketizer{} }, startsAV1, nil, finishAV1},
}

// assembler reassembles access units from the packets of a track, which must be pushed in order.
type assembler struct {
	format       format
	depacketizer depacketizer
	unit         []byte
	timestamp    uint32 // timestamp of the newest packet
	unfinished   bool   // unit contains packets
	pendingSets  []byte // parameter sets without a frame; they belong to the next access unit
	needsStart   bool   // packets are dropped until one at which a decoder can start
	unitBytes    int    // bytes since the last complete access unit
}

func newAssembler(f format) *assembler {
	return &assembler{format: f, depacketizer: f.newDepacketizer()}
}

// accessUnit is a reassembled access unit.
type accessUnit struct {
	timestamp uint32
	payload   []byte
	kind      packetbuf.Kind
	config    []byte // nil if the access unit contains none
}

var errTooLong = errors.New("reassemble access unit: more than 8 MiB")

// push adds a packet and returns the access units that are then complete. Usually that is one, if
// senders mark the last packet of each. gap reports that packets before p are missing: push then
// discards the unfinished access unit. After a packet that cannot be parsed, it also discards all
// packets before the next one at which a decoder can start.
func (a *assembler) push(p *rtp.Packet, gap bool) (units []accessUnit, err error) {
	if gap {
		a.reset()
		a.pendingSets, a.needsStart = nil, false // after a gap, the jitter buffer continues at a packet where a decoder can start
	}
	if len(p.Payload) == 0 { // padding
		return nil, nil
	}
	another := p.Timestamp != a.timestamp
	if a.unfinished && another {
		units = a.finishUnit(units)
	}
	a.timestamp = p.Timestamp
	if a.needsStart {
		if start := a.format.startAt(p.Payload); start == jitter.Never || start == jitter.IfWhole && !another {
			return units, nil
		}
		a.needsStart = false
	}
	if a.unitBytes += len(p.Payload) + packetOverhead; a.unitBytes > maxAccessUnit {
		a.reset()
		a.pendingSets, a.needsStart = nil, true
		return units, errTooLong
	}
	part, err := a.depacketizer.Unmarshal(p.Payload)
	if err != nil {
		a.reset()
		a.pendingSets, a.needsStart = nil, true
		return units, err
	}
	a.unit, a.unfinished = append(a.unit, part...), true
	if p.Marker {
		units = a.finishUnit(units)
	}
	return units, nil
}

// reset discards the unfinished access unit and replaces the depacketizer, which may hold a
// fragment. A fragment whose last part never arrives would otherwise grow without bound.
func (a *assembler) reset() {
	a.depacketizer, a.unit, a.unfinished, a.unitBytes = a.format.newDepacketizer(), nil, false, 0
}

func (a *assembler) finishUnit(units []accessUnit) []accessUnit {
	unit := a.unit
	a.reset()
	if len(unit) > 0 && a.format.hasSlice != nil && !a.format.hasSlice(unit) {
		if len(a.pendingSets)+len(unit) > maxPendingSets {
			a.pendingSets = nil
		}
		if len(unit) <= maxPendingSets {
			a.pendingSets = append(a.pendingSets, unit...)
		}
		return units
	}
	if len(a.pendingSets) > 0 {
		unit = append(a.pendingSets, unit...)
	}
	if a.pendingSets = nil; len(unit) == 0 {
		return units
	}
	payload, kind, config := a.format.convert(unit)
	if len(payload) == 0 {
		return units
	}
	return append(units, accessUnit{a.timestamp, payload, kind, config})
}

// startsH264 returns whether a decoder can start at a payload (RFC 6184, 5.6 to 5.8). It always can
// at an SPS. It can at an IDR picture only if the packets before the picture have arrived. A
// picture may have many slices; it begins with the slice of macroblock 0.
func startsH264(b []byte) jitter.Start {
	starts := func(nalType int, slice []byte) jitter.Start {
		switch {
		case nalType == codec.NALSPS:
			return jitter.Always
		case nalType == codec.NALIDR && isFirstSlice(slice):
			return jitter.IfWhole
		}
		return jitter.Never
	}
	switch t := codec.NALType(b); t {
	case 24: // STAP-A
		best := jitter.Never
		for rest := b[1:]; len(rest) > 2; {
			size := int(rest[0])<<8 | int(rest[1])
			best = max(best, starts(codec.NALType(rest[2:]), rest[3:]))
			rest = rest[min(len(rest), 2+size):]
		}
		return best
	case 28: // FU-A
		if len(b) < 2 || b[1]&0x80 == 0 {
			return jitter.Never
		}
		return starts(int(b[1]&0x1f), b[2:])
	case 0:
		return jitter.Never
	default:
		return starts(t, b[1:])
	}
}

// isFirstSlice reports whether a slice is the first of its picture: first_mb_in_slice is 0, or
// first_slice_segment_in_pic_flag is set.
func isFirstSlice(slice []byte) bool { return len(slice) > 0 && slice[0]&0x80 != 0 }

func finishH264(unit []byte) ([]byte, packetbuf.Kind, []byte) {
	kind, err := codec.AVCKind(unit, 4, false)
	if err != nil {
		return nil, 0, nil
	}
	if kind != packetbuf.Key {
		return unit, kind, nil
	}
	sps, pps, err := parameterSetsH264(unit)
	if err != nil {
		return nil, 0, nil
	}
	c, err := codec.NewAVCConfig(sps, pps)
	if err != nil { // the configuration in force remains
		return unit, kind, nil
	}
	return unit, kind, c.Append(nil)
}

// maxParameterSets bounds the parameter sets that are read from one access unit, to twice as many
// as can be in force. That keeps the work proportional to the bytes.
const maxParameterSets = 512

// parameterSetsH264 returns the distinct SPS and PPS of an access unit.
func parameterSetsH264(unit []byte) (sps, pps [][]byte, err error) {
	seen := 0
	for rest := unit; len(rest) > 0 && seen < maxParameterSets; {
		var nal []byte
		if nal, rest, err = codec.NextNAL(rest, 4); err != nil {
			return nil, nil, err
		}
		switch codec.NALType(nal) {
		case codec.NALSPS:
			seen++
			sps = appendNew(sps, nal)
		case codec.NALPPS:
			seen++
			pps = appendNew(pps, nal)
		}
	}
	return sps, pps, nil
}

func appendNew(sets [][]byte, nal []byte) [][]byte {
	for _, s := range sets {
		if bytes.Equal(s, nal) {
			return sets
		}
	}
	return append(sets, nal)
}

// startsHEVC is startsH264 for HEVC (RFC 7798, 4.4). The first parameter set of HEVC is the VPS.
func startsHEVC(b []byte) jitter.Start {
	starts := func(nalType byte, slice []byte) jitter.Start {
		switch {
		case nalType == 32: // VPS
			return jitter.Always
		case nalType == 33, nalType >= 16 && nalType <= 21 && isFirstSlice(slice): // SPS, IRAP
			return jitter.IfWhole
		}
		return jitter.Never
	}
	if len(b) < 3 {
		return jitter.Never
	}
	switch t := b[0] >> 1 & 0x3f; t {
	case 48: // aggregation
		best := jitter.Never
		for rest := b[2:]; len(rest) > 3; {
			size := int(rest[0])<<8 | int(rest[1])
			best = max(best, starts(rest[2]>>1&0x3f, rest[4:]))
			rest = rest[min(len(rest), 2+size):]
		}
		return best
	case 49: // fragment
		if b[2]&0x80 == 0 {
			return jitter.Never
		}
		return starts(b[2]&0x3f, b[3:])
	default:
		return starts(t, b[2:])
	}
}

// hasSliceHEVC reports whether the depacketizer's output, an Annex B byte stream, contains a slice.
func hasSliceHEVC(stream []byte) bool {
	const firstSet = 32
	for {
		i := bytes.Index(stream, []byte{0, 0, 1})
		if i < 0 {
			return false
		}
		if stream = stream[i+3:]; len(stream) > 1 && stream[0]>>1&0x3f < firstSet {
			return true
		}
	}
}

func finishHEVC(unit []byte) ([]byte, packetbuf.Kind, []byte) {
	au := codec.AppendAnnexB(nil, unit)
	kind, sets, err := codec.HEVCKind(au)
	if err != nil || kind != packetbuf.Key {
		return au, kind, nil
	}
	config, err := codec.NewHEVCConfig(sets)
	if err != nil {
		return au, kind, nil
	}
	return au, kind, config
}

// startIfKey returns the Start for a codec whose keyframes contain everything that a decoder needs.
func startIfKey(key bool) jitter.Start {
	if key {
		return jitter.Always
	}
	return jitter.Never
}

// startsVP8 returns whether a decoder can start at a packet: it can if the packet begins a key
// frame (RFC 7741, 4.2 and 4.3).
func startsVP8(b []byte) jitter.Start {
	var p codecs.VP8Packet
	frame, err := p.Unmarshal(b)
	return startIfKey(err == nil && p.S == 1 && p.PID == 0 && len(frame) > 0 && frame[0]&1 == 0)
}

func finishVP8(unit []byte) ([]byte, packetbuf.Kind, []byte) {
	if unit[0]&1 != 0 {
		return unit, packetbuf.Delta, nil
	}
	return unit, packetbuf.Key, codec.VPConfig{BitDepth: 8, Subsampling: 1}.Append(nil)
}

// startsVP9 returns whether a decoder can start at a packet: it can if the packet begins a key
// frame (RFC 9628, 4.2). The descriptor alone does not tell, because some senders never set its bit
// P.
func startsVP9(b []byte) jitter.Start {
	var p codecs.VP9Packet
	frame, err := p.Unmarshal(b)
	if err != nil || !p.B || p.P || p.SID != 0 {
		return jitter.Never
	}
	_, key := codec.ParseVP9Frame(frame)
	return startIfKey(key)
}

func finishVP9(unit []byte) ([]byte, packetbuf.Kind, []byte) {
	c, key := codec.ParseVP9Frame(unit)
	if !key {
		return unit, packetbuf.Delta, nil
	}
	return unit, packetbuf.Key, c.Append(nil)
}

// startsAV1 returns whether a decoder can start at a packet: it can if the packet begins a coded
// video sequence. Such a packet has the bit N set in its aggregation header, or its first OBU is a
// sequence header.
func startsAV1(b []byte) jitter.Start {
	if len(b) < 2 || b[0]&0x80 != 0 { // continues an OBU
		return jitter.Never
	}
	first := b[1:]
	if b[0]>>4&3 != 1 { // the OBU is preceded by its length
		for len(first) > 0 && first[0]&0x80 != 0 {
			first = first[1:]
		}
		first = first[min(len(first), 1):]
	}
	return startIfKey(b[0]&0x08 != 0 || len(first) > 0 && first[0]>>3&0xf == 1)
}

func finishAV1(unit []byte) ([]byte, packetbuf.Kind, []byte) {
	header, rest, err := codec.AV1SequenceHeader(unit)
	if err != nil || len(rest) == 0 {
		return nil, 0, nil
	}
	if header == nil || !codec.AV1HasKey(rest) {
		return rest, packetbuf.Delta, nil
	}
	config, err := codec.NewAV1Config(header)
	if err != nil {
		return rest, packetbuf.Key, nil
	}
	return rest, packetbuf.Key, config
}
