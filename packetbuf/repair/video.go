// Package repair makes whole, decodable packets of the media that encoders really send: pictures
// in several messages, parameter sets in band alone, start codes instead of lengths, audio with
// ADTS headers or without a configuration.
//
// The package is pure: no goroutine, no clock, no I/O. Time is an argument.
package repair

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// undecided is how long the first keyframe of a session is kept back, to see whether the
	// publisher sends it in parts. The next picture ends the wait earlier.
	undecided = 100 * time.Millisecond
	// unfinished is how long a picture in parts is waited for after its newest part. The next
	// picture ends the wait earlier; it only runs out where the publisher stalls.
	unfinished = 250 * time.Millisecond
	// steady is after how many pictures of one number of parts the last part counts as known,
	// so that a picture is passed on with it.
	steady = 30
	// maxPrefix bounds what is kept of units that came before their picture, in bytes.
	maxPrefix = 256 << 10
	// maxPicture bounds a picture that is put together, in bytes.
	maxPicture = 8 << 20
	// keptUnits bounds the room that is kept for the units of a message.
	keptUnits = 1024
)

// Video repairs one track of video. Its zero value is ready. Codecs without NAL units pass
// through, but that AV1's configuration is made from its keyframes where they differ.
type Video struct {
	counts *packetbuf.RepairCounts
	codec  packetbuf.Codec

	pictures codec.SliceReader
	config   videoConfig
	units    [][]byte // of the message being read
	prefix   [][]byte // units that came before their picture
	prefixed int      // their bytes

	held  *picture
	last  time.Duration // timestamp of the newest picture passed on
	begun bool          // one has been

	splits  bool // the publisher sends pictures in parts
	settled bool // a keyframe has shown whether it does
	uneven  bool // pictures differ in their number of parts
	parts   int  // of the newest picture
	alike   int  // pictures in a row of that many parts
}

// picture is a picture in assembly.
type picture struct {
	packet *packetbuf.Packet
	said   packetbuf.Kind // by the container
	slice  codec.Slice    // its newest
	first  bool           // its first slice has come
	field  bool           // it is a field, and the second one of the frame has not come
	parts  int
	due    time.Time
	edited bool // its payload is not that of one message
}

// NewVideo returns a Video that counts into c.
func NewVideo(c *packetbuf.RepairCounts) *Video { return &Video{counts: c} }

func (v *Video) note(r packetbuf.RepairReason) { v.counts.Note(packetbuf.Video, r) }

// Take takes the next packet of the track, as the container had it; said is the kind that the
// container gives a picture. It appends to dst the packets that are whole now, in order.
func (v *Video) Take(dst []*packetbuf.Packet, now time.Time, p *packetbuf.Packet, said packetbuf.Kind) []*packetbuf.Packet {
	if p.Codec != v.codec {
		dst = v.Flush(dst)
		*v = Video{counts: v.counts, codec: p.Codec}
	}
	switch {
	case p.Kind == packetbuf.Config:
		return v.configure(v.Flush(dst), p)
	case p.Codec == packetbuf.H264 || p.Codec == packetbuf.HEVC:
		return v.message(dst, now, p, said)
	}
	return v.configured(dst, p)
}

// Held returns the picture in assembly; nil if there is none.
func (v *Video) Held() *packetbuf.Packet {
	if v.held == nil {
		return nil
	}
	return v.held.packet
}

// Due returns when the picture in assembly is to be passed on by Flush; zero if there is none.
func (v *Video) Due() time.Time {
	if v.held == nil {
		return time.Time{}
	}
	return v.held.due
}

// Flush appends the picture in assembly to dst, as whole as it is.
func (v *Video) Flush(dst []*packetbuf.Packet) []*packetbuf.Packet {
	h := v.held
	if h == nil {
		return dst
	}
	v.held = nil
	v.last, v.begun = h.packet.DTS, true
	v.learn(h)
	if h.edited {
		h.packet.Kind = codec.VideoKind(v.codec, h.packet.Payload, h.said)
	}
	if !h.first {
		v.note(packetbuf.NoBeginning)
	}
	return v.configured(dst, h.packet)
}

// learn notes in how many parts a picture has come.
func (v *Video) learn(h *picture) {
	if h.said == packetbuf.Key || h.packet.Kind == packetbuf.Key {
		v.settled = true
	}
	switch {
	case h.parts == v.parts:
		v.alike++
	case v.alike >= steady:
		v.uneven = true // a picture may have been passed on too early: never again
		fallthrough
	default:
		v.parts, v.alike = h.parts, 1
	}
}

// message takes a message of NAL units.
func (v *Video) message(dst []*packetbuf.Packet, now time.Time, p *packetbuf.Packet, said packetbuf.Kind) []*packetbuf.Packet {
	length := v.config.lengthSize()
	var faults codec.UnitFaults
	if cap(v.units) > keptUnits { // a message of a great many units is no reason to keep room for more
		v.units = nil
	}
	v.units, faults = codec.ReadUnits(v.units[:0], v.codec, p.Payload, length)
	v.noteFaults(faults)
	edited := faults != 0 || length != 4
	slice, at := v.read()
	if at < 0 {
		return v.withoutPicture(dst, now)
	}
	h := v.held
	if h != nil && h.packet.DTS != p.DTS && !slice.First && slice.Unreadable() {
		return v.begin(dst, now, p, said, slice, edited) // nothing says that it goes on
	}
	if v.continues(slice, p.DTS) {
		if h == nil {
			v.splits, v.uneven = true, true
			v.note(packetbuf.LatePart)
			return dst
		}
		v.join(p, said, slice)
		return v.passIfKnown(dst, now)
	}
	return v.begin(dst, now, p, said, slice, edited)
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

// read notes the parameter sets of a message, and returns its first slice and where it stands
// among the units; -1 where it has none.
func (v *Video) read() (first codec.Slice, at int) {
	at = -1
	for i, nal := range v.units {
		switch codec.RoleOf(v.codec, nal) {
		case codec.SliceUnit:
			if at < 0 {
				first, at = v.pictures.Read(v.codec, nal), i
			}
		case codec.PrefixUnit:
			v.pictures.AddParameterSet(v.codec, nal)
		case codec.SuffixUnit:
		}
	}
	return first, at
}

// continues reports whether a slice belongs to the picture before it. Where that has been passed
// on, only its timestamp can tell.
func (v *Video) continues(s codec.Slice, dts time.Duration) bool {
	h := v.held
	switch {
	case h == nil:
		return v.begun && !s.First && dts == v.last
	case h.field && s.SecondFieldOf(h.slice) && dts == h.packet.DTS:
		h.field, h.first = false, h.first && s.First
		return true
	case s.Differs(h.slice):
		return false
	case !s.First:
		return true
	}
	// Slices may come in any order in the Baseline profile.
	return !h.first && dts == h.packet.DTS && v.codec == packetbuf.H264
}

// begin begins a picture with a message.
func (v *Video) begin(dst []*packetbuf.Packet, now time.Time, p *packetbuf.Packet, said packetbuf.Kind, s codec.Slice, edited bool) []*packetbuf.Packet {
	dst = v.Flush(dst)
	v.config.collect(v.codec, v.prefix)
	v.config.collect(v.codec, v.units)
	if len(v.prefix) > 0 {
		edited = true
		v.units = append(v.prefix, v.units...)
		v.prefix, v.prefixed = nil, 0
	}
	if edited {
		p.Payload = codec.JoinUnits(v.units)
		p.Kind = codec.VideoKind(v.codec, p.Payload, said)
	}
	v.held = &picture{packet: p, said: said, slice: s, first: s.First, field: s.Field && !v.bothFields(s), parts: 1}
	return v.passIfKnown(dst, now)
}

// join adds a message to the picture in assembly.
func (v *Video) join(p *packetbuf.Packet, said packetbuf.Kind, s codec.Slice) {
	h := v.held
	if !h.fits(v.units) {
		v.note(packetbuf.LatePart)
		return
	}
	v.splits = true
	v.note(packetbuf.SplitFrame)
	v.config.collect(v.codec, v.units)
	h.append(v.units)
	h.parts++
	h.slice, h.first = s, h.first || s.First
	h.packet.Arrived = p.Arrived
	if said == packetbuf.Key || h.said == packetbuf.Disposable {
		h.said = said
	}
}

// fits reports whether the picture with these units stays below maxPicture.
func (h *picture) fits(units [][]byte) bool {
	size := len(h.packet.Payload)
	for _, nal := range units {
		size += 4 + len(nal)
	}
	return size <= maxPicture
}

func (h *picture) append(units [][]byte) {
	payload := h.packet.Payload
	if !h.edited {
		payload = append(make([]byte, 0, min(4*len(payload), len(payload)+maxPicture/8)), payload...)
	}
	for _, nal := range units {
		payload = codec.AppendNAL(payload, nal)
	}
	h.packet.Payload, h.edited = payload, true
}

// passIfKnown passes the picture in assembly on unless more of it may come.
func (v *Video) passIfKnown(dst []*packetbuf.Packet, now time.Time) []*packetbuf.Packet {
	h := v.held
	switch {
	case v.splits && !v.uneven && v.alike >= steady && h.parts == v.parts && !h.field:
		return v.Flush(dst)
	case v.splits, h.field:
		h.due = now.Add(unfinished)
		return dst
	case v.settled || v.slices() > 1:
		return v.Flush(dst)
	}
	h.due = now.Add(undecided)
	return dst
}

// bothFields reports whether the newest message, which begins with slice s of a field, has the
// frame's other field too.
func (v *Video) bothFields(s codec.Slice) bool {
	for _, nal := range v.units {
		if codec.RoleOf(v.codec, nal) == codec.SliceUnit && v.pictures.Read(v.codec, nal).SecondFieldOf(s) {
			return true
		}
	}
	return false
}

// slices returns how many slices the newest message has.
func (v *Video) slices() (n int) {
	for _, nal := range v.units {
		if codec.RoleOf(v.codec, nal) == codec.SliceUnit {
			n++
		}
	}
	return n
}

// withoutPicture takes a message that has no slice: units of the picture to come, or of the one
// in assembly.
func (v *Video) withoutPicture(dst []*packetbuf.Packet, now time.Time) []*packetbuf.Packet {
	prefix := false
	for _, nal := range v.units {
		prefix = prefix || codec.RoleOf(v.codec, nal) == codec.PrefixUnit
	}
	switch {
	case len(v.units) > 0 && !prefix && v.held != nil && v.held.fits(v.units):
		v.held.append(v.units)
		return v.passIfKnown(dst, now)
	case !prefix:
		v.note(packetbuf.NoFrame)
		return dst
	}
	if v.held != nil {
		v.splits = v.splits || v.held.parts > 1
		dst = v.Flush(dst)
	}
	for _, nal := range v.units {
		if v.prefixed += len(nal) + 4; v.prefixed > maxPrefix {
			v.note(packetbuf.NoFrame)
			v.prefix, v.prefixed = nil, 0
			return dst
		}
		v.prefix = append(v.prefix, nal)
	}
	return dst
}
