package codec

import "math/bits"

// bitReader reads the bits of a NAL unit's payload, most significant first. If nal is set, it
// skips emulation prevention bytes (ITU-T H.264, 7.4.1.1), so that no unescaped copy is needed.
// Reading past the end returns zeros and sets short.
type bitReader struct {
	data  []byte
	nal   bool
	short bool

	pos   int    // index of the next byte of data
	zeros int    // consecutive zero bytes just before pos
	acc   uint64 // bits fetched and not yet read, in its low n bits
	n     int
}

func (r *bitReader) fetch() {
	if r.nal && r.zeros >= 2 && r.pos < len(r.data) && r.data[r.pos] == 3 {
		r.pos++
		r.zeros = 0
	}
	var b byte
	if r.pos < len(r.data) {
		b = r.data[r.pos]
		r.pos++
	} else {
		r.short = true
	}
	if b == 0 {
		r.zeros++
	} else {
		r.zeros = 0
	}
	r.acc = r.acc<<8 | uint64(b)
	r.n += 8
}

// u reads n bits, n <= 32.
func (r *bitReader) u(n int) uint32 {
	for r.n < n {
		r.fetch()
	}
	r.n -= n
	v := uint32(r.acc >> r.n & (1<<n - 1)) //nolint:gosec // n <= 32 bits
	return v
}

func (r *bitReader) flag() bool { return r.u(1) == 1 }

func (r *bitReader) skip(n int) {
	for ; n > 32; n -= 32 {
		r.u(32)
	}
	r.u(n)
}

// align skips to the next byte.
func (r *bitReader) align() { r.u(r.n % 8) }

// ue reads an unsigned Exp-Golomb code of at most 32 bits (ITU-T H.264, 9.1).
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.flag() {
		zeros++
		if zeros > 31 || r.short {
			r.short = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}

// se reads a signed Exp-Golomb code.
func (r *bitReader) se() int32 {
	k := int64(r.ue())
	if k&1 == 1 {
		return int32((k + 1) / 2) //nolint:gosec // k < 2^32
	}
	return int32(-k / 2) //nolint:gosec // k < 2^32
}

// bitWriter appends bits, most significant first.
type bitWriter struct {
	out  []byte
	free int // unused low bits of the last byte
}

// u appends the low n bits of v.
func (w *bitWriter) u(n int, v uint32) {
	for n > 0 {
		if w.free == 0 {
			w.out = append(w.out, 0)
			w.free = 8
		}
		take := min(n, w.free)
		part := v >> (n - take) & (1<<take - 1)
		w.free -= take
		w.out[len(w.out)-1] |= byte(part << w.free) //nolint:gosec // at most 8 bits
		n -= take
	}
}

// ue appends an unsigned Exp-Golomb code.
func (w *bitWriter) ue(v uint32) {
	length := bits.Len32(v + 1) // v < 2^32-1, whose code would need 33 bits
	w.u(length-1, 0)
	w.u(length, v+1)
}

// int appends v as an unsigned Exp-Golomb code. It writes 0 for a negative v.
func (w *bitWriter) int(v int) { w.ue(uint32(max(v, 0))) } //nolint:gosec // see above

// se appends a signed Exp-Golomb code.
func (w *bitWriter) se(v int) {
	if v > 0 {
		w.int(2*v - 1)
	} else {
		w.int(-2 * v)
	}
}

func (w *bitWriter) flag(v bool) {
	if v {
		w.u(1, 1)
	} else {
		w.u(1, 0)
	}
}
