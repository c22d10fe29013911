package gen

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Tally takes note of what a viewer receives and says what is wrong with it.
type Tally struct {
	seen map[ID]bool
	last [packetbuf.NumTracks]time.Duration
	any  [packetbuf.NumTracks]bool
	ends map[source]uint64 // the highest number of a source's track
	from map[source]uint64 // and its lowest
}

type source struct {
	track packetbuf.Track
	id    uint32
}

// NewTally starts empty.
func NewTally() *Tally {
	return &Tally{seen: map[ID]bool{}, ends: map[source]uint64{}, from: map[source]uint64{}}
}

// Add notes a packet. The error says that it is harmed, came before, or that its DTS does
// not rise within its track. Configurations, data and filler are passed over, filler's DTS
// excepted.
func (t *Tally) Add(p *packetbuf.Packet) error {
	if !p.Media() {
		return nil
	}
	if t.any[p.Track] && p.DTS <= t.last[p.Track] {
		return fmt.Errorf("%s packet at %v after %v", p.Track, p.DTS, t.last[p.Track])
	}
	t.any[p.Track], t.last[p.Track] = true, p.DTS
	if p.Flags&packetbuf.Filler != 0 {
		return nil
	}
	id, err := Identify(p)
	if err != nil {
		return err
	}
	if t.seen[id] {
		return fmt.Errorf("%s frame %d of source %d came twice", id.Track, id.Number, id.Source)
	}
	t.seen[id] = true
	s := source{id.Track, id.Source}
	if from, ok := t.from[s]; !ok || id.Number < from {
		t.from[s] = id.Number
	}
	t.ends[s] = max(t.ends[s], id.Number)
	return nil
}

// Has tells whether a frame has come.
func (t *Tally) Has(id ID) bool { return t.seen[id] }

// Len is how many frames have come.
func (t *Tally) Len() int { return len(t.seen) }

// Lost lists the frames that are missing between the first and the last that came of a
// track of a source.
func (t *Tally) Lost(track packetbuf.Track, src uint32) []uint64 {
	s := source{track, src}
	from, ok := t.from[s]
	if !ok {
		return nil
	}
	var lost []uint64
	for n := from; n <= t.ends[s]; n++ {
		if !t.seen[ID{track, src, n}] {
			lost = append(lost, n)
		}
	}
	return lost
}
