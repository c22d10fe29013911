package codec

// reference is a frame that later ones may be decoded from.
type reference struct{ frameNum, poc int }

// references follows which frames a decoder keeps as references, and in which order pictures
// are shown (ITU-T H.264, 8.2.1 and 8.2.5). Only short-term references of whole frames are known.
type references struct {
	kept [17]reference // in decoding order
	n    int

	begun    bool
	frameNum int // of the last reference
	lastNum  int // of the last picture
	msb, lsb int // POC of the last reference
	offset   int // FrameNumOffset of the last picture
	highest  int // POC sent since the last IDR
}

// add takes the next picture in decoding order.
func (d *references) add(h *sliceHeader) error {
	most := 1 << h.sps.Log2MaxFrameNum
	if h.idr {
		*d = references{}
	}
	if d.begun && h.frameNum != d.frameNum && h.frameNum != (d.frameNum+1)%most {
		return malformed("pictures are missing")
	}
	poc := d.order(h, most)
	if !d.begun || poc > d.highest {
		d.highest = poc
	}
	d.begun = true
	if h.refIDC == 0 {
		d.lastNum = h.frameNum
		return nil
	}
	d.mark(h, most)
	if h.resetsOrder {
		d.reset(h)
		return nil
	}
	d.kept[d.n] = reference{h.frameNum, poc}
	d.n++
	d.frameNum, d.lastNum = h.frameNum, h.frameNum
	return nil
}

// order finds a picture's POC, that of its top field. Where the beginning is not known, it is
// right but for a constant.
func (d *references) order(h *sliceHeader, most int) int {
	if h.sps.POCType == 2 {
		if d.begun && d.lastNum > h.frameNum {
			d.offset += most
		}
		poc := 2 * (d.offset + h.frameNum)
		if h.refIDC == 0 {
			poc--
		}
		return poc
	}
	half := 1 << (h.sps.Log2MaxPOCLSB - 1)
	msb := d.msb
	switch {
	case !d.begun:
	case h.pocLSB < d.lsb && d.lsb-h.pocLSB >= half:
		msb += 2 * half
	case h.pocLSB > d.lsb && h.pocLSB-d.lsb > half:
		msb -= 2 * half
	}
	if h.refIDC != 0 {
		d.msb, d.lsb = msb, h.pocLSB
	}
	return msb + h.pocLSB
}

// mark takes away what the picture says, or the oldest where the window is full.
func (d *references) mark(h *sliceHeader, most int) {
	for _, m := range h.marks[:max(h.numMarks, 0)] {
		d.drop((h.frameNum - m.difference%most + most) % most)
	}
	for d.n >= min(max(h.sps.MaxRefFrames, 1), len(d.kept)-1) {
		d.n = copy(d.kept[:], d.kept[1:d.n])
	}
}

func (d *references) drop(frameNum int) {
	for i := range d.kept[:d.n] {
		if d.kept[i].frameNum == frameNum {
			d.n = i + copy(d.kept[i:], d.kept[i+1:d.n])
			return
		}
	}
}

// reset is what follows a picture with memory_management_control_operation 5: it counts as one
// of frame number 0, and all others are gone.
func (d *references) reset(h *sliceHeader) {
	top := max(0, -h.bottom) // TopFieldOrderCnt - Min(TopFieldOrderCnt, BottomFieldOrderCnt)
	if h.sps.POCType == 2 {
		top = 0
	}
	*d = references{begun: true, n: 1, highest: top, lsb: top}
	d.kept[0] = reference{0, top}
}

// last is the reference that is shown last, and whether that is the newest in decoding order.
func (d *references) last() (r reference, newest bool) {
	for i, k := range d.kept[:d.n] {
		if i == 0 || k.poc > r.poc {
			r, newest = k, i == d.n-1
		}
	}
	return r, newest
}
