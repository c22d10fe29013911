package standby

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/backlog"
)

// holdMost is how long a returning session's newest GOP is held back while more of its backlog
// arrives. On a line that is hardly faster than real time, viewers then see the rest of the backlog
// sped up and without audio.
const holdMost = time.Second

// Returning is the return of a session after a silence, on the same connection. Until the return,
// viewers get filler. Of the backlog that queued up behind the stall they get only the newest GOP,
// squeezed in time, and no audio, so that no viewer falls further behind. The zero value is a return
// that has not begun.
type Returning struct {
	backlog backlog.Monitor
	begun   bool
	// kept is the newest GOP from its keyframe on, or the newest audio of a stream without video. It is
	// not placed on the stream's clock yet.
	kept  []*packetbuf.Packet
	bytes int       // size of kept, packetbuf.Overhead included
	since time.Time // arrival of the first packet of kept
	// catching is true while viewers are fed again although the backlog has not drained.
	catching bool
}

// Begun reports whether Begin was called.
func (r *Returning) Begun() bool { return r.begun }

// Begin starts the return of a session with the given smoothed round-trip time and arrival jitter.
func (r *Returning) Begin(rtt, jitter time.Duration) {
	*r = Returning{begun: true, backlog: backlog.New(rtt, jitter)}
}

// Note records the lag of a packet of the session: how far it is behind the stream's clock.
func (r *Returning) Note(now time.Time, lag time.Duration) { r.backlog.Note(now, lag) }

// Catching reports whether viewers are fed again although the backlog has not drained.
func (r *Returning) Catching() bool { return r.catching }

// Drained reports whether the backlog has drained.
func (r *Returning) Drained() bool { return r.backlog.Drained() }

// Shift returns by how much to move the session's clock so that its newest media is live.
func (r *Returning) Shift() time.Duration { return r.backlog.Shift() }

// Bytes returns the size of the packets held back, packetbuf.Overhead included.
func (r *Returning) Bytes() int { return r.bytes }

// Keep holds p back if it belongs to the newest GOP; key reports whether p starts a GOP. dropped is
// the number of packets that were dropped, either because p starts a new GOP or because more than
// limit bytes would have been held back. A limit of 0 is no limit.
func (r *Returning) Keep(now time.Time, p *packetbuf.Packet, key bool, limit int) (kept bool, dropped int) {
	if limit > 0 && r.bytes+len(p.Payload) > limit {
		dropped = r.Drop() // nothing is kept until the next keyframe
	}
	switch {
	case key:
		dropped += r.Drop()
		if r.since.IsZero() {
			r.since = now
		}
	case len(r.kept) == 0 || p.Track != packetbuf.Video:
		return false, dropped
	}
	r.kept = append(r.kept, p)
	r.bytes += len(p.Payload) + packetbuf.Overhead
	return true, dropped
}

// Drop drops the packets held back and returns their number.
func (r *Returning) Drop() int {
	n := len(r.kept)
	clear(r.kept)
	r.kept, r.bytes = r.kept[:0], 0
	return n
}

// JoinDue returns the latest time at which the session joins with the packets held back, or zero if
// none are held back.
func (r *Returning) JoinDue() time.Time {
	if len(r.kept) == 0 || r.catching {
		return time.Time{}
	}
	return r.since.Add(holdMost)
}

// Joins reports whether the session should join now with the packets held back.
func (r *Returning) Joins(now time.Time) bool {
	return r.backlog.Drained() || now.Sub(r.since) >= holdMost
}

// Join returns the packets held back, which feed the stream from now on, and by how much to move the
// session's clock. Afterwards Catching reports whether more of the backlog is to come.
func (r *Returning) Join() (kept []*packetbuf.Packet, shift time.Duration) {
	kept, r.kept = r.kept, nil
	if r.catching = !r.backlog.Drained(); !r.catching {
		shift = r.backlog.Shift()
	}
	return kept, shift
}

// Placement is a packet's position on the stream's clock.
type Placement struct {
	*packetbuf.Packet
	DTS, PTS time.Duration
}

// Squeeze places the packets of one GOP a millisecond apart, so that the last one has DTS end. If
// that leaves too little room after last, it places them as soon after last as possible. Frames keep
// their output order. where returns the position of a packet by its own timestamp.
func Squeeze(packets []*packetbuf.Packet, where func(*packetbuf.Packet) time.Duration, last, end time.Duration) []Placement {
	n := len(packets)
	behind := func(i int) time.Duration { return time.Duration(i) * time.Millisecond }
	first := max(last+time.Millisecond, end-behind(n-1))
	shown := slices.SortedFunc(slices.Values(packets), func(a, b *packetbuf.Packet) int {
		return cmp.Compare(where(a)+a.CTO, where(b)+b.CTO)
	})
	// The frame displayed last keeps its own PTS, which fits the live frames that follow.
	delay := max(0, where(shown[n-1])+shown[n-1].CTO-where(packets[n-1]))
	at := make(map[*packetbuf.Packet]time.Duration, n)
	for i, p := range shown {
		at[p] = first + behind(i) + delay
	}
	out := make([]Placement, n)
	for i, p := range packets {
		out[i] = Placement{Packet: p, DTS: first + behind(i), PTS: at[p]}
	}
	return out
}
