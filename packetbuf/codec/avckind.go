package codec

import "github.com/holdfast-live/holdfast/packetbuf"

const seiRecoveryPoint = 6

// AVCKind tells what an H.264 access unit is to a decoder, from its NAL units:
//
//   - with an IDR slice it is Key;
//   - with marked (the container's keyframe mark) it is Key also if all its slices are
//     intra and a recovery point SEI stands before them, as in an open GOP;
//   - with nal_ref_idc 0 in all slices it is Disposable;
//   - else Delta, also if it has no slice at all.
//
// A container's mark alone is not believed: intra-refresh encoders set it on pictures
// from which no decoder can start.
func AVCKind(au []byte, lengthSize int, marked bool) (packetbuf.Kind, error) {
	var slices, referenced, idr, recovery bool
	intra := true
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, lengthSize)
		if err != nil {
			return packetbuf.Delta, err
		}
		rest = next
		switch t := NALType(nal); t {
		case NALIDR:
			idr = true
		case NALSlice, NALPartA, NALPartB, NALPartC:
			slices = true
			referenced = referenced || NALRefIDC(nal) != 0
			// Partitions B and C have other headers; A has said it for them.
			if marked && t <= NALPartA {
				intra = intra && intraSlice(nal)
			}
		case NALSEI:
			recovery = recovery || marked && hasSEI(nal, seiRecoveryPoint)
		}
	}
	switch {
	case idr, marked && recovery && slices && intra:
		return packetbuf.Key, nil
	case slices && !referenced:
		return packetbuf.Disposable, nil
	}
	return packetbuf.Delta, nil
}

// intraSlice tells whether a slice is of type I or SI (ITU-T H.264, 7.4.3).
func intraSlice(nal []byte) bool {
	r := bitReader{data: nal[1:], nal: true}
	r.ue() // first_mb_in_slice
	t := r.ue() % 5
	return !r.short && (t == 2 || t == 4)
}

// hasSEI reports whether an SEI NAL unit holds a message of the given payload type.
func hasSEI(nal []byte, want int) bool { return findSEI(nal, want) != nil }

// AVCRecovery returns recovery_frame_cnt of a recovery point SEI (ITU-T H.264, D.2.8) before the
// first slice of an access unit with 4-byte lengths: after so many increments of frame_num what a
// decoder shows that began there is right. ok is false where there is none.
func AVCRecovery(au []byte) (frames int, ok bool) {
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, 4)
		if err != nil {
			return 0, false
		}
		rest = next
		switch t := NALType(nal); {
		case t == NALSEI:
			if r := findSEI(nal, seiRecoveryPoint); r != nil {
				frames = int(r.ue())
				return frames, !r.short && frames < 1<<16
			}
		case t >= NALSlice && t <= NALIDR:
			return 0, false
		}
	}
	return 0, false
}

// findSEI returns a reader of the message of the given payload type in an SEI NAL unit; nil where
// there is none.
func findSEI(nal []byte, want int) *bitReader {
	r := &bitReader{data: nal[1:], nal: true}
	number := func() int {
		sum := 0
		for {
			b := int(r.u(8))
			sum += b
			if b != 0xff || r.short {
				return sum
			}
		}
	}
	// What is left must hold a message's two bytes and the trailing bits.
	for len(r.data)-r.pos > 2 {
		payloadType, size := number(), number()
		if r.short || size > len(r.data)-r.pos {
			return nil
		}
		if payloadType == want {
			return r
		}
		r.skip(8 * size)
	}
	return nil
}

// AVCHas tells whether an access unit holds a NAL unit of type t.
func AVCHas(au []byte, lengthSize, t int) bool {
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, lengthSize)
		if err != nil {
			return false
		}
		if NALType(nal) == t {
			return true
		}
		rest = next
	}
	return false
}

// AVCHasSlice tells whether an access unit with 4-byte lengths holds coded pictures at all.
func AVCHasSlice(au []byte) bool {
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, 4)
		if err != nil {
			return false
		}
		if t := NALType(nal); t >= NALSlice && t <= NALIDR {
			return true
		}
		rest = next
	}
	return false
}

// AVCHasB tells whether an access unit with 4-byte lengths holds a B slice: a picture that may
// be shown before one that was decoded earlier.
func AVCHasB(au []byte) bool {
	for rest := au; len(rest) > 0; {
		nal, next, err := NextNAL(rest, 4)
		if err != nil {
			return false
		}
		if t := NALType(nal); t == NALSlice || t == NALPartA {
			r := bitReader{data: nal[1:], nal: true}
			r.ue() // first_mb_in_slice
			if kind := r.ue() % 5; !r.short && kind == 1 {
				return true
			}
		}
		rest = next
	}
	return false
}
