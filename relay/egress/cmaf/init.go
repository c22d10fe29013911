package cmaf

import (
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Info describes an init section.
type Info struct {
	// Codecs lists the codecs of the tracks as in RFC 6381, video first, separated by commas.
	Codecs        string
	Video, Audio  packetbuf.Codec // NoCodec if there is no such track
	Width, Height int
	FrameRate     float64 // frames per second; 0 if unknown
	tracks        trackSet
}

// trackSet holds the descriptions of a set of tracks, indexed by packetbuf.Track. nil means that
// the track does not exist.
type trackSet [2]*description

func (t trackSet) same(o trackSet) bool { return t[0].same(o[0]) && t[1].same(o[1]) }

func (t trackSet) empty() bool { return t[0] == nil && t[1] == nil }

func (t trackSet) info() *Info {
	i := &Info{tracks: t}
	var names []string
	if v := t[packetbuf.Video]; v != nil {
		i.Video, i.Width, i.Height, i.FrameRate = v.codec, v.width, v.height, v.fps
		names = append(names, v.name)
	}
	if a := t[packetbuf.Audio]; a != nil {
		i.Audio = a.codec
		names = append(names, a.name)
	}
	i.Codecs = strings.Join(names, ",")
	return i
}

// trackID returns the track's ID in the file.
func trackID(tr packetbuf.Track) uint32 { return uint32(tr) + 1 }

// initSection returns the init section, an ftyp and a moov, of the tracks.
func (t trackSet) initSection() []byte {
	var w boxes
	w.box("ftyp", func() {
		w.text("iso6")
		w.u32(0)
		w.text("iso6mp41")
	})
	w.box("moov", func() {
		at := w.beginFullBox("mvhd", 0, 0)
		w.u32s(0, 0, 1000, 0, 0x10000)
		w.u16(0x100)
		w.zeros(10)
		w.matrix()
		w.zeros(24)
		w.u32(trackID(packetbuf.Audio) + 1)
		w.endBox(at)
		for tr, d := range t {
			if d != nil {
				w.trak(packetbuf.Track(tr), d) //nolint:gosec // of two
			}
		}
		w.box("mvex", func() {
			for tr, d := range t {
				if d != nil {
					at := w.beginFullBox("trex", 0, 0)
					w.u32s(trackID(packetbuf.Track(tr)), 1, 0, 0, 0) //nolint:gosec // of two
					w.endBox(at)
				}
			}
		})
	})
	return w.b
}

// matrix appends the identity matrix.
func (w *boxes) matrix() { w.u32s(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) }

func (w *boxes) trak(tr packetbuf.Track, d *description) {
	video := tr == packetbuf.Video
	w.box("trak", func() {
		at := w.beginFullBox("tkhd", 0, 3)
		w.u32s(0, 0, trackID(tr), 0, 0)
		w.zeros(8 + 2)
		if video {
			w.u16(0)
			w.u16(0)
		} else {
			w.u16(1) // alternate group
			w.u16(0x100)
		}
		w.u16(0)
		w.matrix()
		w.u32s(uint32(d.width)<<16, uint32(d.height)<<16) //nolint:gosec // pixels
		w.endBox(at)
		w.box("mdia", func() {
			at := w.beginFullBox("mdhd", 0, 0)
			w.u32s(0, 0, uint32(d.scale), 0) //nolint:gosec // a sample rate
			w.u16(0x55c4)                    // "und"
			w.u16(0)
			w.endBox(at)
			at = w.beginFullBox("hdlr", 0, 0)
			w.u32(0)
			if video {
				w.text("vide")
			} else {
				w.text("soun")
			}
			w.zeros(12 + 1)
			w.endBox(at)
			w.box("minf", func() { w.mediaInfo(video, d) })
		})
	})
}

func (w *boxes) mediaInfo(video bool, d *description) {
	if video {
		at := w.beginFullBox("vmhd", 0, 1)
		w.zeros(8)
		w.endBox(at)
	} else {
		at := w.beginFullBox("smhd", 0, 0)
		w.zeros(4)
		w.endBox(at)
	}
	w.box("dinf", func() {
		at := w.beginFullBox("dref", 0, 0)
		w.u32(1)
		w.endBox(w.beginFullBox("url ", 0, 1))
		w.endBox(at)
	})
	w.box("stbl", func() {
		at := w.beginFullBox("stsd", 0, 0)
		w.u32(1)
		w.box(d.box, func() {
			w.zeros(6)
			w.u16(1)
			if video {
				w.videoEntry(d)
			} else {
				w.audioEntry(d)
			}
			w.bytes(d.config)
		})
		w.endBox(at)
		for _, table := range []string{"stts", "stsc", "stsz", "stco"} { // all empty
			at := w.beginFullBox(table, 0, 0)
			if table == "stsz" {
				w.u32(0)
			}
			w.u32(0)
			w.endBox(at)
		}
	})
}

func (w *boxes) videoEntry(d *description) {
	w.zeros(16)
	w.u16(uint16(d.width))  //nolint:gosec // pixels
	w.u16(uint16(d.height)) //nolint:gosec // pixels
	w.u32s(72<<16, 72<<16, 0)
	w.u16(1)
	w.zeros(32)
	w.u16(24)
	w.u16(0xffff)
}

func (w *boxes) audioEntry(d *description) {
	w.zeros(8)
	w.u16(uint16(d.channels)) //nolint:gosec // a few
	w.u16(16)
	w.u32(0)
	rate := d.scale
	if rate > 0xffff { // does not fit
		rate = 0
	}
	w.u32(uint32(rate) << 16) //nolint:gosec // checked
}

// ticks converts a time to ticks, the units of d.scale.
func (d *description) ticks(at time.Duration) int64 {
	// Convert whole milliseconds first: nanoseconds times the scale would overflow within a
	// day.
	return int64(at/time.Millisecond)*d.scale/1000 + int64(at%time.Millisecond)*d.scale/int64(time.Second)
}

// time converts ticks to a time. It is the inverse of ticks.
func (d *description) time(ticks int64) time.Duration {
	return time.Duration(ticks/d.scale)*time.Second + time.Duration(ticks%d.scale*int64(time.Second)/d.scale)
}
