package whep

import (
	"encoding/binary"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// aggregator packs NAL units into RTP payloads. Units that fit into one packet share it, as a
// STAP-A of H.264 (RFC 6184, 5.7.1) or an aggregation packet of HEVC (RFC 7798, 4.4.2). An access
// unit therefore needs at most about twice as many packets as its size requires, however small its
// units are.
type aggregator struct {
	codec   packetbuf.Codec
	out     []byte
	pending [][]byte // units that share the next packet
	size    int      // size of that packet
}

// add adds a NAL unit, which must not be empty.
func (a *aggregator) add(nal []byte) {
	const length = 2
	if a.size+length+len(nal) > maxPayload {
		a.flush()
	}
	if a.headerSize()+length+len(nal) > maxPayload {
		a.out = appendUnit(a.out, a.codec, nal)
		return
	}
	if len(a.pending) == 0 {
		a.size = a.headerSize()
	}
	a.pending, a.size = append(a.pending, nal), a.size+length+len(nal)
}

// payloads returns all payloads, each preceded by its length.
func (a *aggregator) payloads() []byte {
	a.flush()
	return a.out
}

func (a *aggregator) flush() {
	switch len(a.pending) {
	case 0:
	case 1:
		a.out = appendUnit(a.out, a.codec, a.pending[0])
	default:
		a.out = binary.BigEndian.AppendUint16(a.out, uint16(a.size)) //nolint:gosec // at most maxPayload
		a.out = a.appendHeader(a.out)
		for _, nal := range a.pending {
			a.out = binary.BigEndian.AppendUint16(a.out, uint16(len(nal))) //nolint:gosec // see above
			a.out = append(a.out, nal...)
		}
	}
	a.pending, a.size = a.pending[:0], 0
}

func (a *aggregator) headerSize() int {
	if a.codec == packetbuf.HEVC {
		return 2
	}
	return 1
}

// appendHeader appends the header of the packet with the pending units.
func (a *aggregator) appendHeader(b []byte) []byte {
	if a.codec == packetbuf.HEVC {
		// The lowest layer and temporal ID of the units.
		lowest := uint16(0x1ff)
		temporal := byte(7)
		for _, nal := range a.pending {
			lowest = min(lowest, binary.BigEndian.Uint16(nal)>>3&0x3f)
			temporal = min(temporal, nal[1]&7)
		}
		const aggregation = 48
		return binary.BigEndian.AppendUint16(b, aggregation<<9|lowest<<3|uint16(temporal))
	}
	const stapA = 24
	importance := byte(0) // nal_ref_idc, the highest
	for _, nal := range a.pending {
		importance = max(importance, nal[0]&0x60)
	}
	return append(b, importance|stapA)
}
