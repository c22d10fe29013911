package cmaf

import "encoding/binary"

// boxes appends boxes of the ISO base media file format (ISO/IEC 14496-12).
type boxes struct{ b []byte }

// beginBox appends the header of a box. It returns the box's offset, which endBox needs in order to
// set the size.
func (w *boxes) beginBox(kind string) (at int) {
	at = len(w.b)
	w.u32(0)
	w.b = append(w.b, kind...)
	return at
}

// beginFullBox appends the header of a box with a version and flags.
func (w *boxes) beginFullBox(kind string, version byte, flags uint32) (at int) {
	at = w.beginBox(kind)
	w.u32(uint32(version)<<24 | flags)
	return at
}

func (w *boxes) endBox(at int) {
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at)) //nolint:gosec // a box here is far below 4 GiB
}

// box appends a box. The function content appends the box's content.
func (w *boxes) box(kind string, content func()) {
	at := w.beginBox(kind)
	content()
	w.endBox(at)
}

func (w *boxes) u8(v byte)      { w.b = append(w.b, v) }
func (w *boxes) u16(v uint16)   { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *boxes) u32(v uint32)   { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *boxes) u64(v uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *boxes) zeros(n int)    { w.b = append(w.b, make([]byte, n)...) }
func (w *boxes) bytes(b []byte) { w.b = append(w.b, b...) }
func (w *boxes) text(s string)  { w.b = append(w.b, s...) }
func (w *boxes) u32s(v ...uint32) { // 32 bits each
	for _, x := range v {
		w.u32(x)
	}
}
