package standby

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/backlog"
)

// holdMost is how long a returning session's newest GOP is kept back while more of its backlog
// arrives. On a line that is hardly faster than real time, viewers then see the rest of the backlog
// sped up, without its audio.
const holdMost = time.Second

// Returning is the return of the session that fed the stream until it fell silent, on the same
// connection. Viewers have had filler up to now: of what queued up behind the stall they get the
// newest GOP, squeezed, and none of its audio, so that no viewer is later than before. The zero
// value is a return that has not begun.
type Returning struct {
	backlog backlog.Monitor
	begun   bool
	// kept is the newest GOP since its keyframe, or the newest audio of a stream without video, not
	// yet on the stream's clock.
	kept  []*packetbuf.Packet
	bytes int       // of kept, packetbuf.Overhead included
	since time.Time // when the first of kept came
	// catching is set once viewers are fed again while the backlog has not drained.
	catching bool
}

// Begun reports whether Begin was called.
func (r *Returning) Begun() bool { return r.begun }

// Begin begins the return of a session with that smoothed round-trip time and arrival jitter.
func (r *Returning) Begin(rtt, jitter time.Duration) {
	*r = Returning{begun: true, backlog: backlog.New(rtt, jitter)}
}

// Note takes the lag of a packet of the session: how far it is behind the stream's clock.
func (r *Returning) Note(now time.Time, lag time.Duration) { r.backlog.Note(now, lag) }

// Catching reports whether viewers are fed again while the backlog has not drained.
func (r *Returning) Catching() bool { return r.catching }

// Drained reports whether the backlog has drained.
func (r *Returning) Drained() bool { return r.backlog.Drained() }

// Shift returns by how much the session's clock has to be moved for its newest media to be live.
func (r *Returning) Shift() time.Duration { return r.backlog.Shift() }

// Bytes returns what is kept of the backlog, packetbuf.Overhead included.
func (r *Returning) Bytes() int { return r.bytes }

// Keep keeps p back if it belongs to the newest GOP, of which key says that p starts it. dropped is
// how many packets were given up for it, or because more than limit bytes would have been kept; a
// limit of 0 is none.
func (r *Returning) Keep(now time.Time, p *packetbuf.Packet, key bool, limit int) (kept bool, dropped int) {
	if limit > 0 && r.bytes+len(p.Payload) > limit {
		dropped = r.Drop() // until its next keyframe
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

// Drop gives up what is kept, and returns how many packets that was.
func (r *Returning) Drop() int {
	n := len(r.kept)
	clear(r.kept)
	r.kept, r.bytes = r.kept[:0], 0
	return n
}

// JoinDue returns when the session joins at the latest with what is kept; zero where nothing is.
func (r *Returning) JoinDue() time.Time {
	if len(r.kept) == 0 || r.catching {
		return time.Time{}
	}
	return r.since.Add(holdMost)
}

// Joins reports whether the session joins now with what is kept.
func (r *Returning) Joins(now time.Time) bool {
	return r.backlog.Drained() || now.Sub(r.since) >= holdMost
}

// Join returns what is kept, which feeds the stream from now on, and by how much the session's clock
// has to be moved. Catching tells afterwards whether more of the backlog is to come.
func (r *Returning) Join() (kept []*packetbuf.Packet, shift time.Duration) {
	kept, r.kept = r.kept, nil
	if r.catching = !r.backlog.Drained(); !r.catching {
		shift = r.backlog.Shift()
	}
	return kept, shift
}

// Placement is where a packet goes on the stream's clock.
type Placement struct {
	*packetbuf.Packet
	DTS, PTS time.Duration
}

// Squeeze places packets of one GOP a millisecond apart, so that the last stands at end or, where
// there is no room behind last, as soon after it as there is. Frames keep their output order. where
// returns where a packet would stand by its own time.
func Squeeze(packets []*packetbuf.Packet, where func(*packetbuf.Packet) time.Duration, last, end time.Duration) []Placement {
	n := len(packets)
	behind := func(i int) time.Duration { return time.Duration(i) * time.Millisecond }
	first := max(last+time.Millisecond, end-behind(n-1))
	shown := slices.SortedFunc(slices.Values(packets), func(a, b *packetbuf.Packet) int {
		return cmp.Compare(where(a)+a.CTO, where(b)+b.CTO)
	})
	// The frame shown last stands where its own time puts it, beside those that follow live.
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
