package gen

import (
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Tally records what a viewer receives and reports errors in it.
type Tally struct {
	seen    map[ID]bool
	last    [packetbuf.NumTracks]time.Duration
	started [packetbuf.NumTracks]bool
	highest map[source]uint64 // highest frame number received
	lowest  map[source]uint64 // lowest frame number received
}

type source struct {
	track packetbuf.Track
	id    uint32
}

// NewTally returns an empty Tally.
func NewTally() *Tally {
	return &Tally{seen: map[ID]bool{}, highest: map[source]uint64{}, lowest: map[source]uint64{}}
}

// Add records a packet. It returns an error if the frame is damaged or repeated, or if the DTS does not
// increase within the track. Configuration and data packets are ignored; of filler, only the DTS is
// checked.
func (t *Tally) Add(p *packetbuf.Packet) error {
	if !p.Media() {
		return nil
	}
	if t.started[p.Track] && p.DTS <= t.last[p.Track] {
		return fmt.Errorf("%s packet at %v after %v", p.Track, p.DTS, t.last[p.Track])
	}
	t.started[p.Track], t.last[p.Track] = true, p.DTS
	if p.Flags&packetbuf.Filler != 0 {
		return nil
	}
	id, err := Identify(p)
	if err != nil {
		return err
	}
	if t.seen[id] {
		return fmt.Errorf("%s frame %d of source %d received twice", id.Track, id.Number, id.Source)
	}
	t.seen[id] = true
	s := source{id.Track, id.Source}
	if from, ok := t.lowest[s]; !ok || id.Number < from {
		t.lowest[s] = id.Number
	}
	t.highest[s] = max(t.highest[s], id.Number)
	return nil
}

// Has reports whether a frame has been received.
func (t *Tally) Has(id ID) bool { return t.seen[id] }

// Len returns the number of frames received.
func (t *Tally) Len() int { return len(t.seen) }

// Lost returns the numbers of the frames that are missing between the first and the last received, for a
// track of a source.
func (t *Tally) Lost(track packetbuf.Track, src uint32) []uint64 {
	s := source{track, src}
	from, ok := t.lowest[s]
	if !ok {
		return nil
	}
	var lost []uint64
	for n := from; n <= t.highest[s]; n++ {
		if !t.seen[ID{track, src, n}] {
			lost = append(lost, n)
		}
	}
	return lost
}
