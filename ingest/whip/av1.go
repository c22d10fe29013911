package whip

import (
	"encoding/binary"
	"errors"
)

var errAV1 = errors.New("read AV1 payload: malformed")

// av1Depacketizer extracts OBUs from RTP payloads (RTP Payload Format For AV1, 1.0). It copies each
// byte once, even if an OBU has many fragments.
type av1Depacketizer struct {
	part []byte // of an unfinished OBU
}

// Unmarshal returns the OBUs that are complete after this payload, with size fields. It omits
// temporal delimiters and tile lists (section 5 of the format).
func (d *av1Depacketizer) Unmarshal(payload []byte) ([]byte, error) {
	if len(payload) < 2 {
		return nil, errAV1
	}
	header, rest := payload[0], payload[1:]
	continues, unfinished := header&0x80 != 0, header&0x40 != 0
	count := int(header >> 4 & 3)
	if !continues || header&0x08 != 0 { // a new sequence
		d.part = nil
	}
	var out []byte
	for i := 1; len(rest) > 0; i++ {
		element, next, err := av1Element(rest, i == count)
		if err != nil {
			return nil, err
		}
		rest = next
		open := unfinished && len(rest) == 0
		lost := i == 1 && continues && len(d.part) == 0
		if count > 0 && len(rest) == 0 && i != count {
			return nil, errAV1
		}
		switch {
		case lost:
			continue
		case i == 1 && continues:
			d.part = append(d.part, element...)
			element = d.part
		case open:
			d.part = append([]byte(nil), element...)
		}
		if open {
			break
		}
		if out, err = appendOBU(out, element); err != nil {
			return nil, err
		}
		d.part = nil
	}
	return out, nil
}

// av1Element returns the first OBU element of b, and the rest. last is set for the last element
// that the aggregation header counts; that element has no length field.
func av1Element(b []byte, last bool) (element, rest []byte, err error) {
	if last {
		return b, nil, nil
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || n > 8 || size > uint64(len(b)-n) { //nolint:gosec // the number takes n of the bytes
		return nil, nil, errAV1
	}
	end := n + int(size) //nolint:gosec // within b
	return b[n:end:end], b[end:], nil
}

// Types of OBU (AV1 Bitstream & Decoding Process Specification, 6.2.2).
const (
	obuTemporalDelimiter = 2
	obuTileList          = 8
)

// appendOBU appends an OBU with a size field to a temporal unit.
func appendOBU(unit, obu []byte) ([]byte, error) {
	if len(obu) == 0 {
		return unit, nil
	}
	size := 1
	if obu[0]&0x04 != 0 { // extension
		size = 2
	}
	if obu[0]&0x80 != 0 || len(obu) < size {
		return nil, errAV1
	}
	if t := obu[0] >> 3 & 0xf; t == obuTemporalDelimiter || t == obuTileList {
		return unit, nil
	}
	body := obu[size:]
	if obu[0]&0x02 != 0 { // the OBU has a size field; the size in the packet is more reliable
		said, n := binary.Uvarint(body)
		if n <= 0 || n > 8 {
			return nil, errAV1
		}
		if body = body[n:]; said == uint64(len(body)) {
			return append(unit, obu...), nil
		}
	}
	unit = append(unit, obu[0]|0x02)
	unit = append(unit, obu[1:size]...)
	unit = binary.AppendUvarint(unit, uint64(len(body)))
	return append(unit, body...), nil
}
