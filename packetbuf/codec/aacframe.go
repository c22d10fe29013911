package codec

import "math"

// Syntactic elements of AAC that carry no channel (ISO/IEC 14496-3, table 4.85).
const (
	aacDSE = 4 // data
	aacPCE = 5 // a program config element
	aacFIL = 6 // fill
)

// AACFrameChannels returns the number of channels of the first element of a raw AAC frame that carries
// audio: 1 or 2. A frame with more channels usually begins with an element of 1, and cannot be told from
// a mono frame without decoding. ok is false if no such element is found.
func AACFrameChannels(frame []byte) (channels int, ok bool) {
	r := &bitReader{data: frame}
	for !r.short {
		switch r.u(3) {
		case aacSCE:
			return 1, !r.short
		case aacCPE:
			return 2, !r.short
		case aacFIL:
			n := int(r.u(4))
			if n == 15 {
				n += int(r.u(8)) - 1
			}
			r.skip(8 * n)
		case aacDSE:
			skipDataElement(r)
		default:
			return 0, false
		}
	}
	return 0, false
}

// skipDataElement skips a data_stream_element.
func skipDataElement(r *bitReader) {
	r.u(4) // element_instance_tag
	align := r.flag()
	n := int(r.u(8))
	if n == 255 {
		n += int(r.u(8))
	}
	if align {
		r.align()
	}
	r.skip(8 * n)
}

// NearestAACRate returns the standard AAC sample rate nearest to a measured rate, both in Hz.
func NearestAACRate(measured float64) int {
	best := aacRates[0]
	for _, rate := range aacRates {
		if math.Abs(float64(rate)-measured) < math.Abs(float64(best)-measured) {
			best = rate
		}
	}
	return best
}

// aacElement identifies a syntactic element that carries audio channels: its type and instance tag.
type aacElement struct{ id, tag uint32 }

// readProgram reads a program_config_element (ISO/IEC 14496-3, 4.5.1.1) after its tag. It returns the
// elements of a frame, in order, and their total number of channels. plain is false if the element is
// cut short or couples channels; no silence can be written for coupled channels.
func readProgram(r *bitReader) (elements []aacElement, channels int, plain bool) {
	r.u(2) // object_type
	r.u(4) // sampling_frequency_index
	front, side, back := int(r.u(4)), int(r.u(4)), int(r.u(4))
	lfe, data, coupled := int(r.u(2)), int(r.u(3)), int(r.u(4))
	for _, bits := range []int{4, 4, 3} { // mono, stereo and matrix mixdown
		if r.flag() {
			r.u(bits)
		}
	}
	for range front + side + back {
		e := aacElement{id: aacSCE}
		channels++
		if r.flag() {
			e.id = aacCPE
			channels++
		}
		e.tag = r.u(4)
		elements = append(elements, e)
	}
	for range lfe {
		elements = append(elements, aacElement{aacLFE, r.u(4)})
		channels++
	}
	for range data {
		r.u(4)
	}
	for range coupled {
		r.u(5)
	}
	return elements, channels, coupled == 0 && !r.short
}
