package rtmp

import (
	"encoding/binary"
	"math"
)

// AppendAMF appends values encoded as AMF0. It encodes nil as Null.
func AppendAMF(dst []byte, values ...Value) []byte {
	for _, v := range values {
		if v == nil {
			v = Null{}
		}
		dst = v.appendTo(dst)
	}
	return dst
}

func (n Number) appendTo(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markNumber), math.Float64bits(float64(n)))
}

func (b Bool) appendTo(dst []byte) []byte {
	if b {
		return append(dst, markBool, 1)
	}
	return append(dst, markBool, 0)
}

func (s String) appendTo(dst []byte) []byte {
	if len(s) > maxString {
		dst = binary.BigEndian.AppendUint32(append(dst, markLongString), uint32(len(s))) //nolint:gosec // in memory
		return append(dst, s...)
	}
	return appendKey(append(dst, markString), string(s))
}

func (Null) appendTo(dst []byte) []byte      { return append(dst, markNull) }
func (Undefined) appendTo(dst []byte) []byte { return append(dst, markUndefined) }

func (o Object) appendTo(dst []byte) []byte {
	return appendProperties(append(dst, markObject), o)
}

func (a ECMAArray) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, markECMAArray), uint32(len(a))) //nolint:gosec // in memory
	return appendProperties(dst, a)
}

func (a StrictArray) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, markStrictArray), uint32(len(a))) //nolint:gosec // in memory
	return AppendAMF(dst, a...)
}

func (d Date) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, markDate), math.Float64bits(d.Millis))
	return binary.BigEndian.AppendUint16(dst, uint16(d.Zone)) //nolint:gosec // the bits as they are
}

// appendProperties appends properties and the object end marker. It omits properties with an empty key,
// because an empty key would end the object.
func appendProperties(dst []byte, ps []Property) []byte {
	for _, p := range ps {
		if p.Key != "" {
			dst = AppendAMF(appendKey(dst, p.Key), p.Value)
		}
	}
	return append(dst, 0, 0, markObjectEnd)
}

func appendKey(dst []byte, key string) []byte {
	key = key[:min(len(key), maxString)]
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(key))) //nolint:gosec // cut above
	return append(dst, key...)
}
