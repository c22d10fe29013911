package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// sample is a packet with its times in ticks, the units of the track's time scale.
type sample struct {
	p   *packetbuf.Packet
	at  int64 // decode time
	dur int64 // duration; 0 if unknown until the next sample arrives
	cto int64 // composition time offset
}

// Sample flags (ISO/IEC 14496-12, 8.8.3.1).
const (
	independent = 0x02000000 // depends on no other sample
	delta       = 0x01010000 // depends on others
	disposable  = 0x01810000 // no other sample depends on it
)

func sampleFlags(k packetbuf.Kind) uint32 {
	switch k {
	case packetbuf.Key:
		return independent
	case packetbuf.Disposable:
		return disposable
	case packetbuf.Config, packetbuf.Delta:
	}
	return delta
}

// Flags of tfhd and trun.
const (
	baseIsMoof      = 0x020000
	defaultDuration = 0x08
	defaultFlags    = 0x20

	offsetThere    = 0x001
	durationThere  = 0x100
	sizeThere      = 0x200
	flagsThere     = 0x400
	compositionOff = 0x800
)

// fragment returns a moof and mdat with the samples of both tracks. The durations of the samples
// must be set.
func (t trackSet) fragment(seq uint64, samples *[2][]sample) []byte {
	size := 8 + 16 + 8
	for _, s := range samples {
		size += 8 + 24 + 20 + 20 + 16*len(s)
		for i := range s {
			size += len(s[i].p.Payload)
		}
	}
	w := boxes{make([]byte, 0, size)}
	moof := w.beginBox("moof")
	at := w.beginFullBox("mfhd", 0, 0)
	w.u32(uint32(seq)) //nolint:gosec // wraps by design
	w.endBox(at)
	var offsets [2]int // positions of the data offsets in w.b
	for tr, s := range samples {
		if len(s) > 0 {
			offsets[tr] = w.traf(packetbuf.Track(tr), s) //nolint:gosec // of two
		}
	}
	w.endBox(moof)
	mdat := w.beginBox("mdat")
	for tr, s := range samples {
		if len(s) == 0 {
			continue
		}
		patch(w.b[offsets[tr]:], len(w.b))
		for i := range s {
			w.bytes(s[i].p.Payload)
		}
	}
	w.endBox(mdat)
	return w.b
}

func patch(b []byte, v int) {
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

// traf appends the traf of one track and returns the position of its data offset.
func (w *boxes) traf(tr packetbuf.Track, s []sample) (offset int) {
	flags := uint32(offsetThere | sizeThere)
	uniform := true
	for i := range s {
		uniform = uniform && s[i].dur == s[0].dur
		if s[i].cto != 0 {
			flags |= compositionOff
		}
	}
	if !uniform {
		flags |= durationThere
	}
	if tr == packetbuf.Video {
		flags |= flagsThere
	}
	traf := w.beginBox("traf")
	at := w.beginFullBox("tfhd", 0, baseIsMoof|defaultDuration|defaultFlags)
	w.u32s(trackID(tr), uint32(s[0].dur), independent) //nolint:gosec // a few seconds
	w.endBox(at)
	at = w.beginFullBox("tfdt", 1, 0)
	w.u64(uint64(s[0].at)) //nolint:gosec // the stream's clock starts at 0
	w.endBox(at)
	at = w.beginFullBox("trun", 1, flags)
	w.u32(uint32(len(s))) //nolint:gosec // few
	offset = len(w.b)
	w.u32(0)
	for i := range s {
		p := s[i].p
		if !uniform {
			w.u32(uint32(s[i].dur)) //nolint:gosec // a few seconds
		}
		w.u32(uint32(len(p.Payload))) //nolint:gosec // far below 4 GiB
		if tr == packetbuf.Video {
			w.u32(sampleFlags(p.Kind))
		}
		if flags&compositionOff != 0 {
			w.u32(uint32(int32(s[i].cto))) //nolint:gosec // two's complement
		}
	}
	w.endBox(at)
	w.endBox(traf)
	return offset
}

// offset converts a composition time offset to units of the scale, rounded to the nearest.
func (d *description) offset(cto time.Duration) int64 {
	half := int64(time.Second) / 2
	if cto < 0 {
		half = -half
	}
	return (int64(cto)*d.scale + half) / int64(time.Second)
}
