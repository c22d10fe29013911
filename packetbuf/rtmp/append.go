package rtmp

import "encoding/binary"

// AppendMessage appends a message in chunks of chunkSize bytes. The first chunk has a type 0 header, the
// others type 3 headers, each with the extended timestamp if the message has one. The chunks do not refer
// to earlier ones, so the same bytes are valid on every connection with that chunk size and message
// stream. The payload is the concatenation of parts. If it exceeds MaxPayload bytes, nothing is appended.
func AppendMessage(dst []byte, h Header, chunkSize int, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > MaxPayload {
		return dst
	}
	field := min(h.Timestamp, extended)
	dst = appendBasic(dst, 0, h.ChunkStream)
	dst = append(dst, byte(field>>16), byte(field>>8), byte(field),
		byte(n>>16), byte(n>>8), byte(n), h.Type)
	dst = binary.LittleEndian.AppendUint32(dst, h.Stream)
	if field == extended {
		dst = binary.BigEndian.AppendUint32(dst, h.Timestamp)
	}
	left := chunkSize
	for _, p := range parts {
		for len(p) > 0 {
			if left == 0 {
				dst = appendBasic(dst, 3, h.ChunkStream)
				if field == extended {
					dst = binary.BigEndian.AppendUint32(dst, h.Timestamp)
				}
				left = chunkSize
			}
			k := min(left, len(p))
			dst = append(dst, p[:k]...)
			p = p[k:]
			left -= k
		}
	}
	return dst
}

// MessageSize returns the number of bytes that AppendMessage appends for a payload of n bytes.
func MessageSize(h Header, chunkSize, n int) int {
	ext := 0
	if h.Timestamp >= extended {
		ext = 4
	}
	more := max(0, n-1) / chunkSize
	return basicSize(h.ChunkStream) + 11 + ext + n + more*(basicSize(h.ChunkStream)+ext)
}

func basicSize(id uint32) int {
	switch {
	case id < 64:
		return 1
	case id < 320:
		return 2
	}
	return 3
}

func appendBasic(dst []byte, format uint8, id uint32) []byte {
	switch basicSize(id) {
	case 1:
		return append(dst, format<<6|uint8(id)) //nolint:gosec // below 64
	case 2:
		return append(dst, format<<6, uint8(id-64)) //nolint:gosec // below 320
	}
	id -= 64
	return append(dst, format<<6|1, uint8(id), uint8(id>>8)) //nolint:gosec // the low 16 bits
}
