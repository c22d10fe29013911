// Package repair converts media as encoders actually send it to complete, decodable packets. It handles
// frames split over several messages, parameter sets only in band, start codes instead of length
// prefixes, and audio with ADTS headers or without a configuration.
//
// The package is pure: no goroutine, no clock, no I/O. Time is an argument.
package repair

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// firstFrameWait is how long the first keyframe of a session is held, to see whether the
	// publisher splits frames into several messages. The next frame ends the wait early.
	firstFrameWait = 100 * time.Millisecond
	// partialFrameWait is how long a split frame is held after the arrival of its newest part. The next
	// frame ends the wait early, so the full wait occurs only if the publisher stalls.
	partialFrameWait = 250 * time.Millisecond
	// steadyFrames is the number of consecutive frames with the same number of parts after which that
	// number is relied on: a frame is then passed on as soon as its last part arrives.
	steadyFrames = 30
	// maxPrefix bounds the total size, in bytes, of the NAL units held for the frame that follows them.
	maxPrefix = 256 << 10
	// maxFrame bounds a reassembled frame, in bytes.
	maxFrame = 8 << 20
	// maxKeptUnits bounds the capacity that is kept for the NAL units of a message.
	maxKeptUnits = 1024
)

// Video repairs one video track. Its zero value is not usable; see NewVideo. Frames of codecs without NAL
// units pass unchanged. For AV1, a sequence header in a keyframe replaces a configuration that differs.
type Video struct {
	counts *packetbuf.RepairCounts
	codec  packetbuf.Codec

	sliceReader codec.SliceReader
	config      videoConfig
	units       [][]byte // of the message being read
	prefix      [][]byte // units held for the frame that follows them
	prefixBytes int      // total size of prefix

	assembling *assembly
	lastDTS    time.Duration // timestamp of the newest frame passed on
	started    bool          // lastDTS is set

	splits      bool // the publisher splits frames into several messages
	splitsKnown bool // a keyframe has shown whether it does
	partsVary   bool // frames differ in their number of parts
	parts       int  // number of parts of the newest frame
	sameParts   int  // number of consecutive frames with that many parts
}

// assembly is a frame that is being reassembled, or a single field.
type assembly struct {
	packet        *packetbuf.Packet
	containerKind packetbuf.Kind // as given by the container
	slice         codec.Slice    // the newest slice
	hasFirstSlice bool           // the first slice has arrived
	awaitsField   bool           // the second field has not arrived
	parts         int
	due           time.Time // when to pass the frame on, complete or not
	edited        bool      // the payload differs from that of the first message
}

// NewVideo returns a Video that adds its repairs to the counts c.
func NewVideo(c *packetbuf.RepairCounts) *Video { return &Video{counts: c} }

func (v *Video) note(r packetbuf.RepairReason) { v.counts.Note(packetbuf.Video, r) }

// Take repairs the next packet of the track, which arrived at time now. said is the Kind of the frame
// according to the container. Take appends the packets that are now complete to dst, in order.
func (v *Video) Take(dst []*packetbuf.Packet, now time.Time, p *packetbuf.Packet, said packetbuf.Kind) []*packetbuf.Packet {
	if p.Codec != v.codec {
		dst = v.Flush(dst)
		*v = Video{counts: v.counts, codec: p.Codec}
	}
	switch {
	case p.Kind == packetbuf.Config:
		return v.takeConfig(v.Flush(dst), p)
	case p.Codec == packetbuf.H264 || p.Codec == packetbuf.HEVC:
		return v.takeMessage(dst, now, p, said)
	}
	return v.appendConfigured(dst, p)
}

// Held returns the frame being reassembled, or nil.
func (v *Video) Held() *packetbuf.Packet {
	if v.assembling == nil {
		return nil
	}
	return v.assembling.packet
}

// Due returns the time at which Flush must be called to pass on the frame being reassembled. It returns
// the zero Time if there is none.
func (v *Video) Due() time.Time {
	if v.assembling == nil {
		return time.Time{}
	}
	return v.assembling.due
}

// Flush appends the frame being reassembled, if any, to dst, complete or not.
func (v *Video) Flush(dst []*packetbuf.Packet) []*packetbuf.Packet {
	h := v.assembling
	if h == nil {
		return dst
	}
	v.assembling = nil
	v.lastDTS, v.started = h.packet.DTS, true
	v.learnParts(h)
	if h.edited {
		h.packet.Kind = codec.VideoKind(v.codec, h.packet.Payload, h.containerKind)
	}
	if !h.hasFirstSlice {
		v.note(packetbuf.NoBeginning)
	}
	return v.appendConfigured(dst, h.packet)
}

// learnParts records the number of parts in which a frame arrived.
func (v *Video) learnParts(h *assembly) {
	if h.containerKind == packetbuf.Key || h.packet.Kind == packetbuf.Key {
		v.splitsKnown = true
	}
	switch {
	case h.parts == v.parts:
		v.sameParts++
	case v.sameParts >= steadyFrames:
		v.partsVary = true // a frame may have been passed on too early: from now on wait for the next frame
		fallthrough
	default:
		v.parts, v.sameParts = h.parts, 1
	}
}

// takeMessage handles a message of NAL units.
func (v *Video) takeMessage(dst []*packetbuf.Packet, now time.Time, p *packetbuf.Packet, said packetbuf.Kind) []*packetbuf.Packet {
	length := v.config.lengthSize()
	var faults codec.UnitFaults
	if cap(v.units) > maxKeptUnits { // do not keep memory for an unusually large message
		v.units = nil
	}
	v.units, faults = codec.ReadUnits(v.units[:0], v.codec, p.Payload, length)
	v.noteFaults(faults)
	edited := faults != 0 || length != 4
	slice, at := v.readUnits()
	if at < 0 {
		return v.takeUnitsWithoutSlice(dst, now)
	}
	h := v.assembling
	if h != nil && h.packet.DTS != p.DTS && !slice.First && slice.Unreadable() {
		return v.beginFrame(dst, now, p, said, slice, edited) // nothing shows that it continues
	}
	if v.continues(slice, p.DTS) {
		if h == nil {
			v.splits, v.partsVary = true, true
			v.note(packetbuf.LatePart)
			return dst
		}
		v.appendPart(p, said, slice)
		return v.flushIfComplete(dst, now)
	}
	return v.beginFrame(dst, now, p, said, slice, edited)
}

func (v *Video) noteFaults(faults codec.UnitFaults) {
	for _, f := range [...]struct {
		fault  codec.UnitFaults
		reason packetbuf.RepairReason
	}{
		{codec.UnitsAnnexB, packetbuf.AnnexB},
		{codec.UnitsStartCode, packetbuf.StartCode},
		{codec.UnitsEmpty, packetbuf.EmptyUnit},
		{codec.UnitsCut, packetbuf.CutUnit},
	} {
		if faults&f.fault != 0 {
			v.note(f.reason)
		}
	}
}

// readUnits records the parameter sets of the message in v.units. It returns the message's first slice
// and its index among the units, or -1 if the message contains no slice.
func (v *Video) readUnits() (first codec.Slice, at int) {
	at = -1
	for i, nal := range v.units {
		switch codec.RoleOf(v.codec, nal) {
		case codec.SliceUnit:
			if at < 0 {
				first, at = v.sliceReader.Read(v.codec, nal), i
			}
		case codec.PrefixUnit:
			v.sliceReader.AddParameterSet(v.codec, nal)
		case codec.SuffixUnit:
		}
	}
	return first, at
}

// continues reports whether a slice belongs to the preceding frame. If that frame has already been
// passed on, continues decides by the timestamp.
func (v *Video) continues(s codec.Slice, dts time.Duration) bool {
	h := v.assembling
	switch {
	case h == nil:
		return v.started && !s.First && dts == v.lastDTS
	case h.awaitsField && s.SecondFieldOf(h.slice) && dts == h.packet.DTS:
		h.awaitsField, h.hasFirstSlice = false, h.hasFirstSlice && s.First
		return true
	case s.Differs(h.slice):
		return false
	case !s.First:
		return true
	}
	// Slices may come in any order in the Baseline profile.
	return !h.hasFirstSlice && dts == h.packet.DTS && v.codec == packetbuf.H264
}

// beginFrame passes on the frame being reassembled and begins a new one with the message p, whose first
// slice is s.
func (v *Video) beginFrame(dst []*packetbuf.Packet, now time.Time, p *packetbuf.Packet, said packetbuf.Kind, s codec.Slice, edited bool) []*packetbuf.Packet {
	dst = v.Flush(dst)
	v.config.collect(v.codec, v.prefix)
	v.config.collect(v.codec, v.units)
	if len(v.prefix) > 0 {
		edited = true
		v.units = append(v.prefix, v.units...)
		v.prefix, v.prefixBytes = nil, 0
	}
	if edited {
		p.Payload = codec.JoinUnits(v.units)
		p.Kind = codec.VideoKind(v.codec, p.Payload, said)
	}
	v.assembling = &assembly{packet: p, containerKind: said, slice: s, hasFirstSlice: s.First, awaitsField: s.Field && !v.hasBothFields(s), parts: 1}
	return v.flushIfComplete(dst, now)
}

// appendPart adds a message to the frame being reassembled.
func (v *Video) appendPart(p *packetbuf.Packet, said packetbuf.Kind, s codec.Slice) {
	h := v.assembling
	if !h.fits(v.units) {
		v.note(packetbuf.LatePart)
		return
	}
	v.splits = true
	v.note(packetbuf.SplitFrame)
	v.config.collect(v.codec, v.units)
	h.appendUnits(v.units)
	h.parts++
	h.slice, h.hasFirstSlice = s, h.hasFirstSlice || s.First
	h.packet.Arrived = p.Arrived
	if said == packetbuf.Key || h.containerKind == packetbuf.Disposable {
		h.containerKind = said
	}
}

// fits reports whether the frame, with the units added, stays within maxFrame.
func (h *assembly) fits(units [][]byte) bool {
	size := len(h.packet.Payload)
	for _, nal := range units {
		size += 4 + len(nal)
	}
	return size <= maxFrame
}

func (h *assembly) appendUnits(units [][]byte) {
	payload := h.packet.Payload
	if !h.edited {
		payload = append(make([]byte, 0, min(4*len(payload), len(payload)+maxFrame/8)), payload...)
	}
	for _, nal := range units {
		payload = codec.AppendNAL(payload, nal)
	}
	h.packet.Payload, h.edited = payload, true
}

// flushIfComplete passes on the frame being reassembled, unless more of it may follow. In that case it
// sets the time at which to stop waiting.
func (v *Video) flushIfComplete(dst []*packetbuf.Packet, now time.Time) []*packetbuf.Packet {
	h := v.assembling
	switch {
	case v.splits && !v.partsVary && v.sameParts >= steadyFrames && h.parts == v.parts && !h.awaitsField:
		return v.Flush(dst)
	case v.splits, h.awaitsField:
		h.due = now.Add(partialFrameWait)
		return dst
	case v.splitsKnown || v.countSlices() > 1:
		return v.Flush(dst)
	}
	h.due = now.Add(firstFrameWait)
	return dst
}

// hasBothFields reports whether the newest message contains both fields of its frame. s is the message's
// first slice, which belongs to a field.
func (v *Video) hasBothFields(s codec.Slice) bool {
	for _, nal := range v.units {
		if codec.RoleOf(v.codec, nal) == codec.SliceUnit && v.sliceReader.Read(v.codec, nal).SecondFieldOf(s) {
			return true
		}
	}
	return false
}

// countSlices returns the number of slices in the newest message.
func (v *Video) countSlices() (n int) {
	for _, nal := range v.units {
		if codec.RoleOf(v.codec, nal) == codec.SliceUnit {
			n++
		}
	}
	return n
}

// takeUnitsWithoutSlice handles a message without a slice. Its units belong to the next frame if any of
// them must precede a slice, otherwise to the frame being reassembled.
func (v *Video) takeUnitsWithoutSlice(dst []*packetbuf.Packet, now time.Time) []*packetbuf.Packet {
	prefix := false
	for _, nal := range v.units {
		prefix = prefix || codec.RoleOf(v.codec, nal) == codec.PrefixUnit
	}
	switch {
	case len(v.units) > 0 && !prefix && v.assembling != nil && v.assembling.fits(v.units):
		v.assembling.appendUnits(v.units)
		return v.flushIfComplete(dst, now)
	case !prefix:
		v.note(packetbuf.NoFrame)
		return dst
	}
	if v.assembling != nil {
		v.splits = v.splits || v.assembling.parts > 1
		dst = v.Flush(dst)
	}
	for _, nal := range v.units {
		if v.prefixBytes += len(nal) + 4; v.prefixBytes > maxPrefix {
			v.note(packetbuf.NoFrame)
			v.prefix, v.prefixBytes = nil, 0
			return dst
		}
		v.prefix = append(v.prefix, nal)
	}
	return dst
}
