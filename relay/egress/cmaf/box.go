package cmaf

import "encoding/binary"

// boxes appends boxes of the ISO base media file format (ISO/IEC 14496-12).
type boxes struct{ b []byte }

// begin appends the head of a box; end, given what begin returned, its size.
func (w *boxes) begin(kind string) (at int) {
	at = len(w.b)
	w.u32(0)
	w.b = append(w.b, kind...)
	return at
}

// full begins a box with a version and flags.
func (w *boxes) full(kind string, version byte, flags uint32) (at int) {
	at = w.begin(kind)
	w.u32(uint32(version)<<24 | flags)
	return at
}

func (w *boxes) end(at int) {
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at)) //nolint:gosec // a box here is far below 4 GiB
}

// box appends a box with what content appends.
func (w *boxes) box(kind string, content func()) {
	at := w.begin(kind)
	content()
	w.end(at)
}

func (w *boxes) u8(v byte)      { w.b = append(w.b, v) }
func (w *boxes) u16(v uint16)   { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *boxes) u32(v uint32)   { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *boxes) u64(v uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *boxes) zeros(n int)    { w.b = append(w.b, make([]byte, n)...) }
func (w *boxes) bytes(b []byte) { w.b = append(w.b, b...) }
func (w *boxes) text(s string)  { w.b = append(w.b, s...) }
func (w *boxes) words(v ...uint32) { // 32 bits each
	for _, x := range v {
		w.u32(x)
	}
}
