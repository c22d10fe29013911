package cmaf

import (
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Info is what an init section says.
type Info struct {
	// Codecs are those of the tracks by RFC 6381, pictures first, joined by commas.
	Codecs        string
	Video, Audio  packetbuf.Codec // NoCodec: there is no such track
	Width, Height int
	FrameRate     float64 // 0: not said
	tracks        tracks
}

// tracks are the descriptions of a set of tracks, by packetbuf.Track; nil where there is none.
type tracks [2]*description

func (t tracks) same(o tracks) bool { return t[0].same(o[0]) && t[1].same(o[1]) }

func (t tracks) none() bool { return t[0] == nil && t[1] == nil }

func (t tracks) info() *Info {
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

// trackID is a track's number in the file.
func trackID(tr packetbuf.Track) uint32 { return uint32(tr) + 1 }

// initSection is ftyp and moov for these tracks.
func (t tracks) initSection() []byte {
	var w boxes
	w.box("ftyp", func() {
		w.text("iso6")
		w.u32(0)
		w.text("iso6mp41")
	})
	w.box("moov", func() {
		at := w.full("mvhd", 0, 0)
		w.words(0, 0, 1000, 0, 0x10000)
		w.u16(0x100)
		w.zeros(10)
		w.matrix()
		w.zeros(24)
		w.u32(trackID(packetbuf.Audio) + 1)
		w.end(at)
		for tr, d := range t {
			if d != nil {
				w.track(packetbuf.Track(tr), d) //nolint:gosec // of two
			}
		}
		w.box("mvex", func() {
			for tr, d := range t {
				if d != nil {
					at := w.full("trex", 0, 0)
					w.words(trackID(packetbuf.Track(tr)), 1, 0, 0, 0) //nolint:gosec // of two
					w.end(at)
				}
			}
		})
	})
	return w.b
}

// matrix is the one that changes nothing.
func (w *boxes) matrix() { w.words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) }

func (w *boxes) track(tr packetbuf.Track, d *description) {
	video := tr == packetbuf.Video
	w.box("trak", func() {
		at := w.full("tkhd", 0, 3)
		w.words(0, 0, trackID(tr), 0, 0)
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
		w.words(uint32(d.width)<<16, uint32(d.height)<<16) //nolint:gosec // pixels
		w.end(at)
		w.box("mdia", func() {
			at := w.full("mdhd", 0, 0)
			w.words(0, 0, uint32(d.scale), 0) //nolint:gosec // a sample rate
			w.u16(0x55c4)                     // "und"
			w.u16(0)
			w.end(at)
			at = w.full("hdlr", 0, 0)
			w.u32(0)
			if video {
				w.text("vide")
			} else {
				w.text("soun")
			}
			w.zeros(12 + 1)
			w.end(at)
			w.box("minf", func() { w.media(video, d) })
		})
	})
}

func (w *boxes) media(video bool, d *description) {
	if video {
		at := w.full("vmhd", 0, 1)
		w.zeros(8)
		w.end(at)
	} else {
		at := w.full("smhd", 0, 0)
		w.zeros(4)
		w.end(at)
	}
	w.box("dinf", func() {
		at := w.full("dref", 0, 0)
		w.u32(1)
		w.end(w.full("url ", 0, 1))
		w.end(at)
	})
	w.box("stbl", func() {
		at := w.full("stsd", 0, 0)
		w.u32(1)
		w.box(d.box, func() {
			w.zeros(6)
			w.u16(1)
			if video {
				w.pictures(d)
			} else {
				w.sound(d)
			}
			w.bytes(d.config)
		})
		w.end(at)
		for _, table := range []string{"stts", "stsc", "stsz", "stco"} { // all empty
			at := w.full(table, 0, 0)
			if table == "stsz" {
				w.u32(0)
			}
			w.u32(0)
			w.end(at)
		}
	})
}

func (w *boxes) pictures(d *description) {
	w.zeros(16)
	w.u16(uint16(d.width))  //nolint:gosec // pixels
	w.u16(uint16(d.height)) //nolint:gosec // pixels
	w.words(72<<16, 72<<16, 0)
	w.u16(1)
	w.zeros(32)
	w.u16(24)
	w.u16(0xffff)
}

func (w *boxes) sound(d *description) {
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

// ticks is a time in units of a track's scale.
func (d *description) ticks(at time.Duration) int64 {
	// Whole milliseconds first: nanoseconds times the scale would overflow within a day.
	return int64(at/time.Millisecond)*d.scale/1000 + int64(at%time.Millisecond)*d.scale/int64(time.Second)
}

// time is the inverse of ticks.
func (d *description) time(ticks int64) time.Duration {
	return time.Duration(ticks/d.scale)*time.Second + time.Duration(ticks%d.scale*int64(time.Second)/d.scale)
}
