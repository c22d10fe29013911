package codec

import "github.com/holdfast-live/holdfast/packetbuf"

const seiRecoveryPoint = 6

// AVCKind returns the Kind of an H.264 access unit, determined from its NAL units:
//
//   - Key if it has an IDR slice;
//   - Key also if marked is set, which means that the container marks it as a keyframe, and the access
//     unit has a recovery point SEI and only intra slices, as in an open GOP;
//   - Disposable if it has slices and nal_ref_idc is 0 in all of them;
//   - otherwise Delta, also if it has no slice at all.
//
// The container's mark alone does not suffice, because intra-refresh encoders set it on access units at
// which no decoder can start.
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
			// Partitions B and C have other headers; partition A has the slice type for them.
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

// intraSlice reports whether a slice is of type I or SI (ITU-T H.264, 7.4.3).
func intraSlice(nal []byte) bool {
	r := bitReader{data: nal[1:], nal: true}
	r.ue() // first_mb_in_slice
	t := r.ue() % 5
	return !r.short && (t == 2 || t == 4)
}

// hasSEI reports whether an SEI NAL unit contains a message with payload type want.
func hasSEI(nal []byte, want int) bool { return findSEI(nal, want) != nil }

// AVCRecovery returns the recovery_frame_cnt of the recovery point SEI (ITU-T H.264, D.2.8) before the
// first slice of an access unit with 4-byte lengths. It is the number of increments of frame_num after
// which a decoder that starts there shows correct video. ok is false if the access unit has no such SEI.
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

// findSEI returns a reader positioned at the message with payload type want in an SEI NAL unit, or nil
// if the unit contains no such message.
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
	// The rest must have room for the two bytes of a message and the trailing bits.
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

// AVCHas reports whether an access unit contains a NAL unit of type t.
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

// AVCHasSlice reports whether an access unit with 4-byte lengths contains a coded slice.
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

// AVCHasB reports whether an access unit with 4-byte lengths contains a B slice. An access unit with B
// slices may be displayed before one that was decoded earlier.
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
