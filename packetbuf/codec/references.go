package codec

// reference is a frame from which later frames can be decoded.
type reference struct{ frameNum, poc int }

// references tracks the frames that a decoder keeps as references, and the output order of frames (ITU-T
// H.264, 8.2.1 and 8.2.5). It supports only short-term references of whole frames.
type references struct {
	frames [17]reference // in decoding order
	count  int

	started        bool
	frameNum       int // frame_num of the last reference
	lastFrameNum   int // frame_num of the last frame
	msb, lsb       int // POC of the last reference
	frameNumOffset int // FrameNumOffset of the last frame
	highestPOC     int // highest POC since the last IDR
}

// add records the next frame in decoding order. It returns an error if frames are missing before it.
func (d *references) add(h *sliceHeader) error {
	most := 1 << h.sps.Log2MaxFrameNum
	if h.idr {
		*d = references{}
	}
	if d.started && h.frameNum != d.frameNum && h.frameNum != (d.frameNum+1)%most {
		return malformed("pictures are missing")
	}
	poc := d.pictureOrder(h, most)
	if !d.started || poc > d.highestPOC {
		d.highestPOC = poc
	}
	d.started = true
	if h.refIDC == 0 {
		d.lastFrameNum = h.frameNum
		return nil
	}
	d.applyMarks(h, most)
	if h.resetsOrder {
		d.reset(h)
		return nil
	}
	d.frames[d.count] = reference{h.frameNum, poc}
	d.count++
	d.frameNum, d.lastFrameNum = h.frameNum, h.frameNum
	return nil
}

// pictureOrder returns a frame's picture order count (POC), which is that of its top field. If the frames
// since the last IDR were not all recorded, the result is off by a constant. most is the range of
// frame_num.
func (d *references) pictureOrder(h *sliceHeader, most int) int {
	if h.sps.POCType == 2 {
		if d.started && d.lastFrameNum > h.frameNum {
			d.frameNumOffset += most
		}
		poc := 2 * (d.frameNumOffset + h.frameNum)
		if h.refIDC == 0 {
			poc--
		}
		return poc
	}
	half := 1 << (h.sps.Log2MaxPOCLSB - 1)
	msb := d.msb
	switch {
	case !d.started:
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

// applyMarks removes the references that the frame marks as unused. If the reference window is still
// full, it removes the oldest.
func (d *references) applyMarks(h *sliceHeader, most int) {
	for _, m := range h.marks[:max(h.numMarks, 0)] {
		d.removeFrame((h.frameNum - m.difference%most + most) % most)
	}
	for d.count >= min(max(h.sps.MaxRefFrames, 1), len(d.frames)-1) {
		d.count = copy(d.frames[:], d.frames[1:d.count])
	}
}

func (d *references) removeFrame(frameNum int) {
	for i := range d.frames[:d.count] {
		if d.frames[i].frameNum == frameNum {
			d.count = i + copy(d.frames[i:], d.frames[i+1:d.count])
			return
		}
	}
}

// reset applies memory_management_control_operation 5. It removes all other references and treats the
// frame as one with frame_num 0.
func (d *references) reset(h *sliceHeader) {
	top := max(0, -h.bottom) // TopFieldOrderCnt - Min(TopFieldOrderCnt, BottomFieldOrderCnt)
	if h.sps.POCType == 2 {
		top = 0
	}
	*d = references{started: true, count: 1, highestPOC: top, lsb: top}
	d.frames[0] = reference{0, top}
}

// last returns the reference that is last in output order, and whether it is the newest in decoding
// order.
func (d *references) last() (r reference, newest bool) {
	for i, k := range d.frames[:d.count] {
		if i == 0 || k.poc > r.poc {
			r, newest = k, i == d.count-1
		}
	}
	return r, newest
}
